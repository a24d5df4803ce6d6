"""`aforo guards`: margin guards kept in a file."""

from pathlib import Path
from typing import Annotated

import typer

from aforo.commands.installation import DataDir, run_or_exit

guards_app = typer.Typer(help="Margin guards kept in a file.", no_args_is_help=True)


@guards_app.callback()
def guards() -> None:
    """Margin guards kept in a file."""


@guards_app.command()
def apply(
    file: Annotated[Path, typer.Argument(help="A YAML file with `guards:`.")],
    data_dir: DataDir,
    *,
    tenant: Annotated[str, typer.Option(help="Slug or id.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
) -> None:
    """Make and change the guards that the file names, all or none; others stay as they are."""
    run_or_exit("apply_guards", str(file), data_dir=data_dir, tenant=tenant, dry_run=dry_run)
