"""Run the simulated vendors on loopback until Ctrl-C."""

from __future__ import annotations

from pathlib import Path

import click
from werkzeug.serving import WSGIRequestHandler, make_server

from simulator.app import DIALECTS, create_app
from simulator.chat import FAULTS
from simulator.dialect import FAULTS as TASK_FAULTS
from simulator.dialect import Temper


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: the bill tells what was asked."""


@click.command()
@click.option("--port", default=8090, show_default=True, help="0 takes a free one.")
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var/simulator"),
    show_default=True,
    help="Folder of the vendors' books: tasks and bill survive a restart.",
)
@click.option("--task-seconds", default=2.0, show_default=True, help="How long a vendor works on a take.")
@click.option("--hang-seconds", default=90.0, show_default=True, help="How long a hanging answer hangs.")
@click.option("--slots", default=0, show_default=True, help="Takes a vendor works on at once; 0: any number.")
@click.option("--fault-rate", default=0.0, show_default=True, help="Share of takes that meet a fault.")
@click.option("--seed", default=0, show_default=True, help="Which takes those are.")
def main(
    port: int,
    state: Path,
    task_seconds: float,
    hang_seconds: float,
    slots: int,
    fault_rate: float,
    seed: int,
) -> None:
    """Speak the vendors' dialects on 127.0.0.1 and say which settings point there."""
    temper = Temper(task_seconds, hang_seconds, slots, fault_rate, seed)
    try:
        server = make_server(
            "127.0.0.1", port, create_app(state, temper), threaded=True, request_handler=_Quiet
        )
    except SystemExit:
        raise click.ClickException(f"Port {port} is taken: name another with --port.") from None
    base = f"http://127.0.0.1:{server.server_port}"
    click.echo(f"Simulated vendors at {base}. Start the stack with any of these:")
    for dialect in DIALECTS.all().values():
        click.echo(f"  {dialect.variables(base)}")
    click.echo('A brief names those that make takes, as in "providers": ["kling", "local"].')
    click.echo(f"Language models that fail: {', '.join(f'fault-{name}' for name in FAULTS)}.")
    click.echo(f"Words in a prompt that make it fail: {', '.join(f'fault-{name}' for name in TASK_FAULTS)}.")
    click.echo(f"What it charged: {base}/_bill. Ctrl-C ends.", nl=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
