"""Facts and drafts for the tests: the smallest ones; a test states the fields it is about."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from aforo.money import Money
from billing.pipeline import Draft, Facts, Line, LineType, PlanFact, Usage, UsageFact
from catalog.pricing import parse_terms

MONTH = Decimal(30 * 86_400)
PER_UNIT = {"model": "PER_UNIT", "rate": "0.01"}
BLOCK = {"model": "INCLUDED_QUOTA", "includedFree": 1000, "ovBehavior": "BLOCK"}


def plan(number=1, **fields):
    amounts = {name: Decimal(value) for name, value in fields.items() if name != "name"}
    return PlanFact(UUID(int=number), fields.get("name", f"Plan {number}"), **amounts)


def usage_fact(quantity="0", terms=PER_UNIT, *, of=1, unit="calls", number=1, **fields):
    """A running total of `unit` in plan number `of`."""
    smallest = {
        "running_total_id": number,
        "version_id": UUID(int=of),
        "unit_id": UUID(int=100 + number),
        "unit_name": unit,
        "unit_label": "",
        "dimension": "",
        "quantity": Decimal(quantity),
        "event_count": 1 if Decimal(quantity) else 0,
        "position": 1 if Decimal(quantity) else 0,
        "digest": b"",
        "revenue": Decimal(0),
        "terms": parse_terms(terms),
    }
    return UsageFact(**smallest | fields)


def facts(*plans, usage=(), **fields):
    """Facts of a whole month of 30 days, of plan number 1 when none is given."""
    smallest = {
        "currency": "USD",
        "period_start": datetime(2024, 4, 1, tzinfo=UTC),
        "period_end": datetime(2024, 5, 1, tzinfo=UTC),
        "seconds": MONTH,
        "whole_seconds": MONTH,
        "billing_mode": "POSTPAID",
        "auto_finalize": True,
    }
    return Facts(**smallest | fields, plans=plans or (plan(),), usage=tuple(usage))


def opened(given):
    """The draft that the first stage is given."""
    return Draft(given.currency, tuple(Usage(fact) for fact in given.usage))


def spent(given, *amounts, of=1):
    """A draft with one charge of plan number `of` per amount."""
    draft = Draft(given.currency)
    for amount in map(Decimal, amounts):
        money = Money(amount, given.currency)
        line = Line("Rate", LineType.CHARGE, "spent", money, amount, version_id=UUID(int=of))
        draft = draft.adding(line)
    return draft


def without_notes(draft):
    return replace(draft, notes=())


def shown(draft):
    """The lines as somebody reads them."""
    return [(line.description, str(line.amount)) for line in draft.lines]
