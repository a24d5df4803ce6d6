"""`aforo verify`: an invoice proven from its events to its total."""

from typing import Annotated

import typer

from aforo.commands.installation import DataDir, run_or_exit


def verify(
    invoice: Annotated[str, typer.Argument(help="Its number or its id.")],
    data_dir: DataDir,
    *,
    tenant: Annotated[str, typer.Option(help="Slug or id, where a number is ambiguous.")] = "",
) -> None:
    """Prove an invoice: events, quantities, prices, lines, total. Fails where it breaks."""
    run_or_exit("verify_invoice", invoice, data_dir=data_dir, tenant=tenant)
