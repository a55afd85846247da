"""`python -m app`: run Callsheet, its database and its sample film from a terminal."""

from __future__ import annotations

import sys

import click

from app.commands import database, demo, stack
from core.errors import PipelineError


@click.group()
def main() -> None:
    """Callsheet: from a brief to a finished, licensed film."""


for _command in (*stack.COMMANDS, *database.COMMANDS, *demo.COMMANDS):
    main.add_command(_command)


if __name__ == "__main__":
    try:
        main(prog_name="python -m app", standalone_mode=True)
    except PipelineError as error:
        click.echo(error.message, err=True)
        sys.exit(1)
