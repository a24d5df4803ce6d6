"""Everything that pipeline and pricing models write on invoices, made by themselves."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from billing.documents import DocumentCharge, DocumentLine
from billing.pipeline import EarlierFact, TaxFact, TaxRateFact, run
from catalog.pricing import FREE, Usage, parse_terms
from tests.billing.pipeline.build import (
    MONTH,
    advance,
    contract,
    coupon,
    facts,
    fee,
    grant,
    paid,
    plan,
    usage_fact,
)
from tests.billing.pipeline.test_late_usage import late

MAY = datetime(2024, 5, 1, tzinfo=UTC)
TAXES = (TaxRateFact("Mwst", "DE", "", "", Decimal("19.5")),)
HOME = TaxFact("TABLE", seller_country="DE", buyer_country="DE", rates=TAXES)
HALF = {"seconds": MONTH / 2, "days": Decimal(15), "whole_days": Decimal(30)}
FLAT = {"model": "FLAT_RATE", "flatRate": "30"}
ROLLS = {"model": "PER_UNIT", "rate": "1", "includedFree": 5}
CEILED = {"model": "PER_UNIT", "rate": "2", "divideBy": "1000", "rounding": "CEIL"}
ONCE = EarlierFact(UUID(int=9), "INV-7", Decimal(1))
TIERS = [
    {"tierEnd": 10, "unitPrice": "1", "flatFee": "5"},
    {"tierEnd": -1, "unitPrice": "0.5", "flatFee": "2"},
]
QUOTA = {"model": "INCLUDED_QUOTA", "includedFree": 1}
SHARE = {"model": "PERCENTAGE", "ratePercent": "2.5", "fixedFee": "0.1"}
BY_PART = SHARE | {"minPerTransaction": "0.5", "maxPerTransaction": 50}
MATRIX = {
    "model": "MATRIX",
    "dimensions": ["model", "size"],
    "cells": [{"values": {"model": "tier", "size": "1"}, "rate": 2}],
    "defaultRate": 1,
}
MODELS = (
    {"model": "GRADUATED", "tiers": TIERS},
    {"model": "VOLUME_TIERED", "tiers": TIERS},
    {"model": "STAIRSTEP", "steps": [{"tierEnd": 10, "price": 9}], "overageRate": "0.5"},
    QUOTA | {"rate": 1},
    QUOTA | {"ovBehavior": "BLOCK"},
    QUOTA | {"ovBehavior": "IGNORE"},
    QUOTA | {"rate": "0.5", "blockSize": 20},
    QUOTA | {"rate": "0.5", "blockSize": 100},
    SHARE | {"freeAmount": 3, "freeTransactions": 1},
    SHARE | {"minFee": 100},
    SHARE | {"maxFee": "0.1"},
    {"model": "DYNAMIC", "amountField": "cost", "markupPercent": "7.5"},
)


def lines_of(given, **changes):
    return [_document_line(line) for line in run(replace(given, **changes)).draft.lines]


def _document_line(line):
    lived = line.late and (line.late.period_start, line.late.period_end)
    return DocumentLine(
        line.description,
        line.amount.amount,
        line.exact_amount,
        line.quantity,
        tuple(DocumentCharge(one.label, one.quantity, one.unit_price, one.amount)
              for one in line.charges),
        period=lived,
        covers=line.covers,
        type=line.type.value,
        tax_percent=line.tax_percent,
    )  # fmt: skip


def written_lines():
    """Lines of every type, as a dozen invoices have them."""
    usage = (usage_fact("5"),)
    flat = replace(usage_fact("0", FLAT, number=2), is_paid=True)
    rolled = usage_fact("3", ROLLS, rollover=Decimal(2), grants=(grant(2),), expires_at=MAY)
    ceiled = usage_fact("2300", CEILED, number=2)
    blocked = usage_fact("9", QUOTA | {"ovBehavior": "BLOCK"}, number=3)
    promised = plan(base_fee=10, minimum_spend=500, setup_fee=5, in_advance=False)
    capped = plan(base_fee=100, maximum_spend=10, discount_percent="7.5", discount_amount=1)
    term = contract(term_minimum=900, ends_term=True, discount_percent=5, discount_amount=2)
    most = contract(term_maximum=Decimal(20))
    by_days = plan(base_fee=10, by_days=True, maximum_spend=2)
    off = (coupon(1, percent=10), coupon(2, amount=3))
    made = [
        facts(promised, usage=(*usage, ceiled, blocked), is_first=True, contract=term, **HALF),
        facts(by_days, usage=(usage_fact("5", FLAT),), contract=most, **HALF),
        facts(capped, usage=usage, coupons=off, tax=HOME),
        facts(plan(base_fee=50), tax=replace(HOME, inclusive=True)),
        facts(plan(base_fee=50), tax=replace(HOME, exempt=True)),
        facts(plan(base_fee=50), tax=replace(HOME, buyer_country="US")),
        facts(plan(base_fee=50), tax=replace(HOME, buyer_country="FR", buyer_number="FR1")),
        facts(plan(base_fee=50), earlier=(ONCE, replace(ONCE, number=""))),
        facts(
            usage=(usage_fact("9000"),),
            paid=(paid(unused="9"), paid(unused="7", measure="seconds")),
        ),
        facts(plan(1, discount_percent=10), plan(2, base_fee=90), paid=(paid(unused="9"),)),
        facts(
            plan(), plan(2, base_fee=90), paid=(replace(paid(unused="9"), taken_off=Decimal(50)),)
        ),
        facts(usage=(flat, rolled), advance=advance(fee(by_days=True), days=Decimal(10))),
        facts(late=(late(0, 5),), advance=advance(seconds=MONTH / 3)),
    ]
    return [line for given in made for line in lines_of(given)]


def written_charges():
    """(label, model) of every kind of step: those of lines, and those of every model."""
    yield from ((one.label, line.model) for line in written_lines() for one in line.charges)
    for terms in MODELS:
        yield from _steps(terms, *[{"cost": "8"}] * 3)
    yield from ((one.label, "") for one in FREE.charges(Decimal(5)))
    yield from _steps(BY_PART | {"minFee": 500}, "1", "100", "5000")
    yield from _steps(BY_PART | {"maxFee": 1}, "1", "100", "5000")
    yield from _steps(MATRIX, {"model": "tier", "size": "1"}, {"model": "other"})
    times = ROLLS | {"dimensionKey": "model", "dimensionPricing": {"eu": "1.5"}}
    yield from _steps(parse_terms(times).of_dimension('{"model":"eu"}').as_dict(), "25")


def _steps(given, *events):
    """Of events that are amounts, or of 8 with these fields."""
    terms, usage = parse_terms(given), Usage(Decimal(0))
    for event in events:
        quantity, fields = (8, event) if isinstance(event, dict) else (event, {})
        usage = terms.add(usage, terms.part_of(Decimal(quantity), fields))
    for charge in terms.charges(usage):
        yield charge.label, given["model"]
