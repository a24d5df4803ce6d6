"""Check the truths that always hold, and print what does not."""

from argparse import ArgumentParser
from typing import IO, cast
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.text import Text

from aforo.tenancy.selectors import tenant_called
from billing.invariants import TRUTHS, violations_by_truth


class Command(BaseCommand):
    help = "Check that events, totals, invoices and numbers agree; fails when anything does not."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", default="", help="slug or id; all tenants when not given")
        parser.add_argument(
            "--full", action="store_true", help="every row, where a sample is taken otherwise"
        )

    def handle(self, *, tenant: str, full: bool, **_: object) -> None:
        console = Console(file=cast(IO[str], self.stdout), highlight=False)
        broken = 0
        for truth, violations in violations_by_truth(
            tenant_id=_tenant_id(tenant) if tenant else None, full=full
        ):
            verdict = Text("BROKEN", "bold red") if violations else Text("true  ", "green")
            console.print(verdict, truth)
            for violation in violations:
                told = Text(f"        {violation.subject}: {violation.found}", "red")
                console.print(told, soft_wrap=True)
            broken += bool(violations)
        if broken:
            raise CommandError(f"broken: {broken} of {len(TRUTHS)}")


def _tenant_id(name: str) -> UUID:
    tenant = tenant_called(name)
    if tenant is None:
        raise CommandError(f"there is no tenant {name!r}")
    return tenant.pk
