"""`aforo tenant`: tenants from the command line."""

from typing import Annotated

import typer

from aforo.commands.installation import DataDir, run_or_exit

tenant_app = typer.Typer(help="Tenants: those who sell on this installation.")


@tenant_app.callback()
def tenant() -> None:
    """Tenants: those who sell on this installation."""


@tenant_app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the tenant is called.")],
    data_dir: DataDir,
    *,
    slug: Annotated[str | None, typer.Option(help="Made from the name when not given.")] = None,
    currency: Annotated[str, typer.Option(help="What it invoices in, ISO 4217.")] = "USD",
    time_zone: Annotated[str, typer.Option(help="Where its periods begin.")] = "UTC",
    country: Annotated[str, typer.Option(help="Two letters, ISO 3166.")] = "",
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Make its sandbox too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print for scripts.")] = False,
) -> None:
    """Make a tenant; prints its ids, and its keys this once."""
    options = {"slug": slug, "currency": currency, "time_zone": time_zone, "country": country}
    run_or_exit("create_tenant", name, data_dir=data_dir, sandbox=sandbox, json=as_json, **options)
