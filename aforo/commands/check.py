"""`aforo check`: what must always hold, does it?"""

import sys
from typing import Annotated

import typer
from django.core.management import CommandError

from aforo.commands.installation import DataDir, run_command


def check(
    data_dir: DataDir,
    *,
    tenant: Annotated[str, typer.Option(help="Slug or id; all when not given.")] = "",
    full: Annotated[bool, typer.Option("--full", help="Every row, not a sample.")] = False,
) -> None:
    """Check that events, totals, invoices and numbers agree. Fails when anything does not."""
    try:
        run_command("check_invariants", data_dir=data_dir, tenant=tenant, full=full)
    except CommandError as error:
        sys.exit(f"aforo: {error}")
