"""`aforo probe`: known traffic through a running installation, and proof of what became of it."""

from typing import Annotated

import typer

from aforo.commands.installation import DataDir, run_or_exit


def probe(
    data_dir: DataDir,
    *,
    url: Annotated[str, typer.Option(help="Where HTTP answers; the installation's own.")] = "",
    seconds: Annotated[float, typer.Option(help="How long to send.", min=0.1)] = 30.0,
    rate: Annotated[float, typer.Option(help="Events a second, about.", min=1)] = 500.0,
    clients: Annotated[int, typer.Option(help="That send at once.", min=1, max=64)] = 4,
    patience: Annotated[float, typer.Option(help="Seconds that an answer may take.")] = 120.0,
) -> None:
    """Send known events, lose none of the answers, and prove that each is in one place."""
    asked = {"seconds": seconds, "rate": rate, "clients": clients, "patience": patience}
    run_or_exit("probe", data_dir=data_dir, **asked, **({"url": url} if url else {}))
