"""Commands that work on an installation: which one, and how Django finds its servers."""

import os
import sys
from pathlib import Path
from typing import Annotated

import django
import typer
from django.core.management import CommandError, call_command, execute_from_command_line

from aforo.embedded.home import Home, default_home

DataDir = Annotated[
    Path,
    typer.Option(
        default_factory=default_home,
        envvar="AFORO_DATA_DIR",
        help="The installation's folder.",
        show_default="/var/lib/aforo for root, ~/.local/share/aforo for others",
    ),
]


def use_installation(data_dir: Path) -> None:
    """Set Django up for the stack that runs in `data_dir`, or for what the environment names.

    Raises:
        StackError: nothing runs there, and no `DATABASE_URL` and `REDIS_URL` are set.

    """
    if not {"DATABASE_URL", "REDIS_URL"} <= os.environ.keys():
        for name in [name for name in os.environ if name.startswith("PG")]:
            del os.environ[name]  # they would lead past the installation's PostgreSQL
        os.environ.update(Home(data_dir).published())
    os.environ.setdefault("LOG_LEVEL", "WARNING")  # a command answers; its log is not the answer
    django.setup()


def run_command(name: str, *arguments: str, data_dir: Path, **options: object) -> None:
    """Run a management command on the installation in `data_dir`.

    By name, since its module can be imported only after the installation is known.
    """
    use_installation(data_dir)
    call_command(name, *arguments, **options)


def run_or_exit(name: str, *arguments: str, data_dir: Path, **options: object) -> None:
    """Run a management command; what it cannot do ends the process with its sentence."""
    try:
        run_command(name, *arguments, data_dir=data_dir, **options)
    except CommandError as error:
        sys.exit(f"aforo: {error}")


def manage(
    arguments: Annotated[list[str], typer.Argument(help="A Django command and its arguments.")],
    data_dir: DataDir,
) -> None:
    """Run one of Django's management commands on an installation."""
    use_installation(data_dir)
    execute_from_command_line(["aforo manage", *arguments])
