"""`aforo replay`: a billing period counted once more, from its events."""

from typing import Annotated

import typer

from aforo.commands.installation import DataDir, run_or_exit


def replay(
    data_dir: DataDir,
    *,
    tenant: Annotated[str, typer.Option(help="Slug or id.")],
    period: Annotated[str, typer.Option(help="The month it begins in, such as 2026-03.")],
    subscription: Annotated[str, typer.Option(help="Id of one; all when not given.")] = "",
    check: Annotated[
        bool, typer.Option("--check", help="Print only what differs, and fail if anything does.")
    ] = False,
    stored_only: Annotated[
        bool, typer.Option("--stored-only", help="Leave the raw bodies where they are.")
    ] = False,
) -> None:
    """Count a period's totals again, from stored events and raw bodies. Changes nothing."""
    options = {"tenant": tenant, "period": period, "subscription": subscription}
    run_or_exit("replay_usage", data_dir=data_dir, check=check, stored_only=stored_only, **options)
