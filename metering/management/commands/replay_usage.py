"""Count a billing period once more from its events, and say whether its totals say the same."""

from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import IO, cast
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.text import Text

from aforo.money import plain
from aforo.tenancy.models import Tenant
from aforo.tenancy.selectors import tenant_called
from metering.recount import Compared, one_moment, recount


class Command(BaseCommand):
    help = "Count the totals of a billing period again, from stored events and from raw bodies."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", required=True, help="slug or id")
        parser.add_argument("--period", required=True, help="the month it begins in: 2026-03")
        parser.add_argument("--subscription", default="", help="id of one; all when not given")
        parser.add_argument(
            "--check", action="store_true", help="fail when anything differs, print only that"
        )
        parser.add_argument(
            "--stored-only", action="store_true", help="leave the raw bodies where they are"
        )

    def handle(
        self,
        *,
        tenant: str,
        period: str,
        subscription: str,
        check: bool,
        stored_only: bool,
        **_: object,
    ) -> None:
        console = Console(file=cast(IO[str], self.stdout), highlight=False, soft_wrap=True)
        totals = from_raw = broken = 0
        with one_moment():
            for compared in recount(
                tenant=_tenant(tenant),
                month=_month(period),
                subscription_id=_id(subscription) if subscription else None,
                raw=not stored_only,
            ):
                totals += 1
                from_raw += compared.from_raw
                broken += bool(compared.differences)
                if compared.differences or not check:
                    console.print(_told(compared))
        counted = f"{totals} totals, {from_raw} of them from raw bodies too"
        if broken:
            said = f"{counted}: {broken} differ from their events"
            if check:
                raise CommandError(said)
            console.print(Text(said, "bold red"))
        else:
            console.print(Text(f"SAME  {counted}", "bold green"))


def _told(compared: Compared) -> Text:
    total = compared.total
    told = Text(
        f"total {total.pk}  {compared.unit}  quantity {plain(total.quantity)}"
        f"  revenue {plain(total.revenue)}  subscription {total.subscription_id}  "
    )
    told.append("DIFFERS" if compared.differences else "same")
    for one in compared.differences:
        told.append(f"\n        {one.what}: the total says {one.said}, found {one.found}", "red")
    return told


def _tenant(name: str) -> Tenant:
    tenant = tenant_called(name)
    if tenant is None:
        raise CommandError(f"there is no tenant {name!r}")
    return tenant


def _month(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise CommandError(f"{text!r} is no month: write it as 2026-03") from None


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise CommandError(f"{text!r} is no id of a subscription") from None
