"""The story of the demonstration: seed, send, drain, account, close, bill, verify."""

import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from aforo.demo.client import Seller
from aforo.demo.seed import CURRENCY, Seeded, seed
from aforo.demo.traffic import Traffic
from billing.verification import verify_invoice
from billing.models import Invoice
from metering.models import InboxBatch
from metering.selectors.accounts import Account, account_of

_PATIENCE_SECONDS = 300
_POLL_SECONDS = 0.05


def tell(traffic: Traffic, *, url: str, output: Path, console: Console, now: datetime) -> bool:
    """Play the whole story on a running installation; whether all of it holds."""
    console.print(
        f"Traffic: {traffic.title}, billed from {traffic.start:%Y-%m-%d} to {traffic.end:%Y-%m-%d}"
    )
    seeded = seed(start=traffic.start, now=now)
    keys = {"metering_key": seeded.metering_key, "operator_key": seeded.operator_key}
    with Seller(url, **keys) as seller:
        send(traffic, seller, seeded, console)
        account = account_of(seeded.sandbox.pk)
        show_account(account, seller, console)
        seller.advance_clock(traffic.end + timedelta(seconds=1))
        seller.bill(start=traffic.start, end=traffic.end)
        invoices = list(seller.invoices())
        save(invoices, seller.pdf, output)
    proven = show_invoices(invoices, console)
    console.print(f"Invoices as PDF and JSON: {output}")
    show_keys(seeded, console)
    return account.balances and proven


def send(traffic: Traffic, seller: Seller, seeded: Seeded, console: Console) -> None:
    """Send every body with the clock where it belongs, and wait until the inbox is empty."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task("events sent", total=None)
        total = 0
        for segment in traffic.segments():
            total += segment.event_count
            progress.update(task, total=total)
            seller.freeze_clock(segment.clock)
            for body in segment.bodies:
                progress.advance(task, seller.send(body))
        progress.update(task, description="events drained")
        wait_for_drain(seeded)


def wait_for_drain(seeded: Seeded) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while InboxBatch.objects.filter(tenant_id=seeded.sandbox.pk).exists():  # any tenant: by id
        if time.monotonic() > deadline:
            raise TimeoutError("the inbox does not get empty: is the worker running?")
        time.sleep(_POLL_SECONDS)


def show_account(account: Account, seller: Seller, console: Console) -> None:
    """The equation: every event that was received is in exactly one place."""
    places = [one.name for one in fields(account) if one.name != "received"]
    sum_of_places = " + ".join(f"{getattr(account, name):,} {name}" for name in places)
    verdict = "holds" if account.balances else "DOES NOT HOLD"
    console.print(f"\n{account.received:,} received = {sum_of_places}: {verdict}", soft_wrap=True)
    if account.received != seller.sent.events:
        console.print(f"but the doors have answered for {seller.sent.events:,} events")
    if seller.sent.codes or seller.sent.unreadable:
        stopped = ", ".join(
            f"{count:,} {code}" for code, count in sorted(seller.sent.codes.items())
        )
        console.print(
            f"Stopped at the door: {stopped}; {seller.sent.unreadable} bodies that were no JSON",
            soft_wrap=True,
        )


def save(invoices: list[Mapping[str, Any]], pdf: Callable[[str], bytes], output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    for invoice in invoices:
        name = invoice["number"]
        shown = msgspec.json.format(msgspec.json.encode(invoice["data"]), indent=2)
        (output / f"{name}.json").write_bytes(shown)
        (output / f"{name}.pdf").write_bytes(pdf(invoice["id"]))


def show_invoices(invoices: list[Mapping[str, Any]], console: Console) -> bool:
    """A table of what is owed, each invoice verified from its raw events; whether all are."""
    table = Table("Invoice", "Customer", "Period", "Lines", "Total", "Proof")
    together, proven = Decimal(0), True
    for shown in sorted(invoices, key=lambda one: one["number"]):
        invoice = Invoice.objects.get(pk=shown["id"])  # any tenant: an id the API has just given
        verification = verify_invoice(invoice)
        proven = proven and verification.holds
        together += invoice.total
        lines = " + ".join(f"{line.amount:.2f}" for line in invoice.lines.all())
        table.add_row(
            invoice.number,
            str(invoice.customer.external_id),
            f"{invoice.period_start_at:%Y-%m}",
            lines,
            f"{invoice.total:.2f}",
            "VERIFIED" if verification.holds else "BROKEN",
        )
    table.add_section()
    table.add_row("together", "", "", "", f"{together:.2f} {CURRENCY}", "")
    console.print(table)
    return proven and bool(invoices)


def show_keys(seeded: Seeded, console: Console) -> None:
    console.print(
        f"Tenant {seeded.sandbox.slug}: metering key {seeded.metering_key},"
        f" operator key {seeded.operator_key}",
        soft_wrap=True,
        highlight=False,
    )
