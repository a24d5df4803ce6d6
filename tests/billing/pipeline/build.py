"""Facts and drafts for the tests: the smallest ones; a test states the fields it is about."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from aforo.money import Money
from billing.pipeline import (
    AdvanceFact,
    ContractFact,
    CouponFact,
    Draft,
    Facts,
    FeeFact,
    GrantFact,
    Line,
    LineType,
    PaidFact,
    PlanFact,
    Share,
    Usage,
    UsageFact,
)
from catalog.pricing import parse_terms

MONTH = Decimal(30 * 86_400)
PER_UNIT = {"model": "PER_UNIT", "rate": "0.01"}
BLOCK = {"model": "INCLUDED_QUOTA", "includedFree": 1000, "ovBehavior": "BLOCK"}


def plan(number=1, **fields):
    return PlanFact(UUID(int=number), **{"name": f"Plan {number}"} | exact_fields(fields))


def contract(**fields):
    return ContractFact(UUID(int=50), **{"name": "Deal"} | exact_fields(fields))


def coupon(number=1, **fields):
    return CouponFact(UUID(int=60 + number), f"SAVE{number}", **exact_fields(fields))


def fee(amount="100", *, of=1, **fields):
    """The base fee of plan number `of`, per full period."""
    return FeeFact(UUID(int=of), f"Plan {of}", "base fee", Decimal(amount), **fields)


def advance(*fees, seconds=MONTH, **fields):
    """May 2024, of 30 days as far as shares are concerned."""
    smallest = {"days": Decimal(31), "whole_days": Decimal(31)}
    start, end = datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC)
    return AdvanceFact(start, end, seconds, MONTH, fees or (fee(),), **smallest | fields)


def paid(amount="100", unused="0", *, of=1, measure="days", whole="30"):
    """The base fee of plan number `of`, asked for before; `unused` of `whole` was not lived."""
    share = Share(Decimal(unused), Decimal(whole), measure)
    return PaidFact(fee(amount, of=of), Decimal(amount), share)


def grant(units, *, number=1, month=3, expires=datetime(2024, 5, 1, tzinfo=UTC)):
    """Units that a month of 2024 left over; by default April is the last that may use them."""
    start = datetime(2024, month, 1, tzinfo=UTC)
    return GrantFact(UUID(int=70 + number), start, Decimal(units), expires)


def exact_fields(fields):
    """Numbers and their texts as Decimals; names, flags and what is absent as they are."""
    kept = {"name", "in_advance", "by_days", "ends_term", "tax_code"}
    return {
        name: value if name in kept or value is None else Decimal(value)
        for name, value in fields.items()
    }


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
