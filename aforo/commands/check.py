"""`aforo check`: what must always hold, does it?"""

from typing import Annotated

import typer

from aforo.commands.installation import DataDir, run_or_exit


def check(
    data_dir: DataDir,
    *,
    tenant: Annotated[str, typer.Option(help="Slug or id; all when not given.")] = "",
    full: Annotated[bool, typer.Option("--full", help="Every row, not a sample.")] = False,
) -> None:
    """Check that events, totals, invoices and numbers agree. Fails when anything does not."""
    run_or_exit("check_invariants", data_dir=data_dir, tenant=tenant, full=full)
