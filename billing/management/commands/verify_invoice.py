"""Prove an invoice from its events to its total, and print every step."""

from argparse import ArgumentParser
from typing import IO, cast

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from aforo.money import minor_units
from billing.models import Invoice
from billing.selectors.invoices import invoices_called
from billing.verification import Step, Verification, verify_invoice
from billing.verification.steps import ARCHIVE


class Command(BaseCommand):
    help = "Replay an invoice's events, quantities, prices and sums; fails where they break."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("invoice", help="its number or its id")
        parser.add_argument("--tenant", default="", help="slug or id, where a number is ambiguous")

    def handle(self, *, invoice: str, tenant: str, **_: object) -> None:
        console = Console(file=cast(IO[str], self.stdout), highlight=False)
        verification = verify_invoice(_the_one(invoice, tenant))
        console.print(_table(verification))
        if verification.needs_archive:
            raise CommandError(
                f"invoice {verification.reference} NEEDS THE ARCHIVE: bring the months above back"
                " and verify it again; everything else about it is true"
            )
        if not verification.holds:
            for step in verification.broken:
                told = Text(f"BROKEN  {_place(step)}, {step.claim}: {step.found}", "red")
                console.print(told, soft_wrap=True)
            raise CommandError(f"invoice {verification.reference} is BROKEN")
        digits = minor_units(verification.currency)
        total = f"{verification.total:.{digits}f} {verification.currency}"
        told = Text(f"VERIFIED  invoice {verification.reference}, {total}", "bold green")
        console.print(told, soft_wrap=True)


def _the_one(reference: str, tenant: str) -> Invoice:
    found = invoices_called(reference, tenant=tenant)
    if not found:
        raise CommandError(f"there is no invoice {reference!r}")
    if len(found) > 1:
        several = ", ".join(f"{one.pk} of {one.tenant}" for one in found)
        raise CommandError(f"{reference!r} may be {several}: name its --tenant, or give the id")
    return found[0]


def _table(verification: Verification) -> Table:
    table = Table(title=f"Invoice {verification.reference}", title_justify="left")
    for header in ("", "claim", "found", ""):
        table.add_column(header, overflow="fold")
    place = None
    for step in verification.steps:
        if step.line != place:
            table.add_section()
        named = Text(_heading(step, verification) if step.line != place else "")
        place = step.line
        table.add_row(named, step.claim, Text(step.found), _verdict(step))
    return table


def _heading(step: Step, verification: Verification) -> str:
    if step.line is None:
        return "the whole"
    return f"{step.line}  {verification.descriptions[step.line - 1]}"


def _verdict(step: Step) -> Text:
    if step.holds:
        return Text("true", "green")
    return Text("ARCHIVED", "yellow") if step.claim == ARCHIVE else Text("BROKEN", "bold red")


def _place(step: Step) -> str:
    return "the whole" if step.line is None else f"line {step.line}"
