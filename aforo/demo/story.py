"""The story of the demonstration: seed, send, drain, account, close, bill, verify."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from django.db.models import Sum
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from aforo.demo.client import DemoFailed, Seller
from aforo.demo.gates import dead_letters, gates_at_work, late_events
from aforo.demo.seed import CURRENCY, Seeded, seed
from aforo.demo.traffic import Traffic
from billing.models import Invoice
from billing.verification import verify_invoice
from metering.models import InboxBatch
from metering.selectors.accounts import Account, account_of

_PATIENCE_SECONDS = 300  # without a single event drained
_POLL_SECONDS = 0.05
# Narrow enough for 80 columns, where output that no terminal shows is cut.
_PLAIN: dict[str, Any] = {"box": box.SIMPLE_HEAD, "padding": (0, 1, 0, 0), "show_edge": False}


def tell(traffic: Traffic, *, url: str, output: Path, console: Console, now: datetime) -> bool:
    """Play the whole story on a running installation; whether all of it holds.

    Raises DemoFailed, or an error of HTTP or the database, when it cannot go on.
    """
    console.print(
        f"\nTraffic: {traffic.title}, billed from {traffic.start:%Y-%m-%d}"
        f" to {traffic.end:%Y-%m-%d}\n",
        highlight=False,
        soft_wrap=True,
    )
    seeded = seed(start=traffic.start, now=now)
    keys = {"metering_key": seeded.metering_key, "operator_key": seeded.operator_key}
    with Seller(url, **keys) as seller:
        send(traffic, seller, seeded, console)
        account = account_of(seeded.sandbox.pk)
        accounted = show_account(account, seller, console)
        show_gates(account, seeded, seller, console)
        with console.status("closing the period, billing, drawing and proving invoices"):
            seller.advance_clock(traffic.end + timedelta(seconds=1))
            seller.bill(start=traffic.start, end=traffic.end)
            numbers = save(seller.invoices(), seller.pdf, output)
            proven = show_invoices(seeded, console)
    console.print(f"\n{len(numbers)} invoices as PDF and JSON: {output}/", soft_wrap=True)
    show_keys(seeded, console)
    return accounted and proven


def send(traffic: Traffic, seller: Seller, seeded: Seeded, console: Console) -> None:
    """Send every body with the clock where it belongs, and wait until the inbox is empty."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        sent = progress.add_task("events sent   ", total=None)
        drained = progress.add_task("events drained", total=None)
        total = 0
        for segment in traffic.segments():
            total += segment.event_count
            progress.update(sent, total=total)
            seller.freeze_clock(segment.clock)
            for body in segment.bodies:
                progress.advance(sent, seller.send(body))
        progress.update(drained, total=seller.sent.events)
        wait_for_drain(
            seeded, lambda left: progress.update(drained, completed=seller.sent.events - left)
        )


def wait_for_drain(seeded: Seeded, report: Callable[[int], None]) -> None:
    """Come back when the tenant's inbox is empty; `report` is told how many events wait in it."""
    left, deadline = -1, time.monotonic() + _PATIENCE_SECONDS
    rows = InboxBatch.objects.filter(tenant_id=seeded.sandbox.pk)  # any tenant: by id
    while left:
        before, left = left, rows.aggregate(events=Sum("event_count"))["events"] or 0
        report(left)
        if left != before:
            deadline = time.monotonic() + _PATIENCE_SECONDS
        elif time.monotonic() > deadline:
            raise DemoFailed(f"{left:,} events wait in the inbox: is the worker running?")
        time.sleep(_POLL_SECONDS)


def show_account(account: Account, seller: Seller, console: Console) -> bool:
    """The equation: every event that was received is in exactly one place; whether it holds."""
    places = [one.name for one in fields(account) if one.name != "received"]
    sum_of_places = " + ".join(f"{getattr(account, name):,} {name}" for name in places)
    holds = account.balances and account.received == seller.sent.events
    verdict = "holds" if holds else "DOES NOT HOLD"
    console.print(f"\n{account.received:,} received = {sum_of_places}: {verdict}", soft_wrap=True)
    if account.received != seller.sent.events:
        console.print(f"but the doors have answered for {seller.sent.events:,} events")
    return holds


def show_gates(account: Account, seeded: Seeded, seller: Seller, console: Console) -> None:
    """What each gate stopped or marked on the way."""
    seen = gates_at_work(
        letters=dead_letters(seeded.sandbox.pk),
        late=late_events(seeded.sandbox.pk),
        duplicates=account.duplicates,
        unreadable=seller.sent.unreadable,
    )
    table = Table("Gate", "What it stopped or marked", **_PLAIN)
    for gate, findings in seen:
        table.add_row(gate, findings)
    console.print()
    console.print(table if table.rows else "Every event passed every gate.")


def save(
    invoices: Iterable[Mapping[str, Any]], pdf: Callable[[str], bytes], output: Path
) -> list[str]:
    """Write each invoice as PDF and JSON; their numbers."""
    output.mkdir(parents=True, exist_ok=True)
    numbers = []
    for invoice in invoices:
        numbers.append(invoice["number"])
        shown = msgspec.json.format(msgspec.json.encode(invoice["data"]), indent=2)
        (output / f"{invoice['number']}.json").write_bytes(shown)
        (output / f"{invoice['number']}.pdf").write_bytes(pdf(invoice["id"]))
    return numbers


def show_invoices(seeded: Seeded, console: Console) -> bool:
    """A table of what is owed, each invoice verified from its raw events; whether all are."""
    table = Table(**_PLAIN)
    for header in ("Invoice", "Customer", "Period", "Lines"):
        table.add_column(header)
    table.add_column(CURRENCY, justify="right")
    table.add_column("Proof")
    together, proven = Decimal(0), []
    invoices = Invoice.objects.for_tenant(seeded.sandbox).select_related("customer")
    for invoice in invoices.prefetch_related("lines").order_by("number"):
        proven.append(verify_invoice(invoice).holds)
        together += invoice.total
        table.add_row(
            str(invoice),
            str(invoice.customer.external_id),
            f"{invoice.period_start_at:%Y-%m}",
            " + ".join(f"{line.amount:.2f}" for line in invoice.lines.all()),
            f"{invoice.total:.2f}",
            "VERIFIED" if proven[-1] else "BROKEN",
        )
    table.add_section()
    table.add_row("together", "", "", "", f"{together:.2f}", "")
    console.print()
    console.print(table)
    return bool(proven) and all(proven)


def show_keys(seeded: Seeded, console: Console) -> None:
    console.print(
        f"Tenant {seeded.sandbox.slug}\n"
        f"  metering key  {seeded.metering_key}\n"
        f"  operator key  {seeded.operator_key}",
        soft_wrap=True,
        highlight=False,
    )
