"""`aforo import`: usage from a file of any size."""

from pathlib import Path
from typing import Annotated

import typer

from aforo.commands.installation import DataDir, run_or_exit


def import_file(
    file: Annotated[
        Path, typer.Argument(help="CSV, NDJSON, a JSON array or XML, also as gzip.", exists=True)
    ],
    data_dir: DataDir,
    *,
    tenant: Annotated[str, typer.Option(help="Slug or id; the only one when not given.")] = "",
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", help="customerId=column, once per field; quantity= counts rows."),
    ] = None,
    metric: Annotated[str, typer.Option(help="Of rows that name none.")] = "",
    customer: Annotated[str, typer.Option(help="Of rows that name none.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check each row, count none.")] = False,
    backfill: Annotated[
        bool, typer.Option("--backfill", help="Take rows that are over 90 days old.")
    ] = False,
) -> None:
    """Count usage from a file, each row once; run again after a break, it goes on."""
    run_or_exit(
        "import_usage",
        str(file.resolve()),
        data_dir=data_dir,
        tenant=tenant,
        columns=columns or [],
        metric=metric,
        customer=customer,
        dry_run=dry_run,
        backfill=backfill,
    )
