"""Run the simulated vendors on loopback until Ctrl-C."""

from __future__ import annotations

import click
from werkzeug.serving import make_server

from simulator.app import FAULTS, MODELS, create_app


@click.command()
@click.option("--port", default=8090, show_default=True, help="0 takes a free one.")
def main(port: int) -> None:
    """Speak the vendors' dialects on 127.0.0.1 and say which settings point there."""
    try:
        server = make_server("127.0.0.1", port, create_app(), threaded=True)
    except SystemExit:
        raise click.ClickException(f"Port {port} is taken: name another with --port.") from None
    base = f"http://127.0.0.1:{server.server_port}"
    click.echo(
        f"Simulated vendors at {base}. Start the stack with either of these to write scripts with them:"
    )
    click.echo(f"  OLLAMA_URL={base} OLLAMA_MODEL={MODELS[0]}")
    click.echo(f"  OPENAI_COMPATIBLE_URL={base}/v1 OPENAI_COMPATIBLE_MODEL={MODELS[0]}")
    click.echo(f"Models that fail: {', '.join(f'fault-{name}' for name in FAULTS)}. Ctrl-C ends.")
    server.serve_forever()


if __name__ == "__main__":
    main()
