"""`aforo verify`: an invoice proven from its events to its total."""

import sys
from typing import Annotated

import typer
from django.core.management import CommandError

from aforo.commands.installation import DataDir, run_command


def verify(
    invoice: Annotated[str, typer.Argument(help="Its number or its id.")],
    data_dir: DataDir,
    *,
    tenant: Annotated[str, typer.Option(help="Slug or id, where a number is ambiguous.")] = "",
) -> None:
    """Prove an invoice: events, quantities, prices, lines, total. Fails where it breaks."""
    try:
        run_command("verify_invoice", invoice, data_dir=data_dir, tenant=tenant)
    except CommandError as error:
        sys.exit(f"aforo: {error}")
