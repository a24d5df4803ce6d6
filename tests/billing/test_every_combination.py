"""Every model with every aggregation and every extra: refused by a named field, or proven."""

from datetime import timedelta
from decimal import Decimal
from itertools import product

import pytest

from aforo.errors import Refused
from aforo.tenancy.models import Tenant
from billing.models import Invoice
from catalog.pricing import parse_terms
from catalog.services import price_checks, prices, rate_plans, unit_checks
from catalog.services.prices import PriceDraft
from tests.billing.build import APRIL
from tests.billing.exports.dossiers import judged, unpacked
from tests.billing.test_late_usage import (
    MAY,
    accept_all,
    assert_all_is_proven,
    bill,
    fresh_process,
    months,
    no_wakes,
    seller,
    things,
)
from tests.billing.test_scenarios import ACTOR
from tests.factories import NOW, BillableUnitFactory, RatePlanVersionFactory, TenantFactory
from tests.metering.conftest import subscribe

__all__ = ["fresh_process", "months", "no_wakes", "seller"]
pytestmark = pytest.mark.django_db
AGGREGATIONS = (
    "COUNT", "SUM", "MAX", "UNIQUE", "AVG", "PERCENTILE_95", "LATEST", "WEIGHTED_SUM",
)  # fmt: skip
TIERS = [{"tierEnd": 3, "unitPrice": "0.5", "flatFee": "2"}, {"tierEnd": -1, "unitPrice": "0.25"}]
SHARES = [{"tierEnd": 3, "ratePercent": "50"}, {"tierEnd": -1, "ratePercent": "2.5"}]
MODELS = {
    "PER_UNIT": {"rate": "0.125", "includedFree": "2"},
    "FLAT_RATE": {"flatRate": "9"},
    "PERCENTAGE": {"ratePercent": "2.9", "fixedFee": "0.3", "maxFee": "7", "freeTransactions": 1},
    "BY_TRANSACTION": {"model": "PERCENTAGE", "ratePercent": "10", "minPerTransaction": "1"},
    "INCLUDED_QUOTA": {"includedFree": "3", "rate": "0.7", "blockSize": "2"},
    "GRADUATED": {"tiers": TIERS},
    "VOLUME_TIERED": {"tiers": TIERS},
    "STAIRSTEP": {"steps": [{"tierEnd": 3, "price": "5"}], "overageRate": "0.1"},
    "MATRIX": {
        "dimensions": ["region"],
        "cells": [{"values": {"region": "eu"}, "rate": "0.5"}],
        "defaultRate": "0.25",
    },
    "GRADUATED_PERCENTAGE": {"tiers": SHARES},
    "DYNAMIC": {"amountField": "amount", "markupPercent": "10"},
}
DUE_UNUSED = {
    "PERCENTAGE": {"minFee": "1"},
    "BY_TRANSACTION": {"minFee": "1"},
    "GRADUATED": {"billZeroTier": True},
    "VOLUME_TIERED": {"billZeroTier": True},
    "GRADUATED_PERCENTAGE": {
        "billZeroTier": True,
        "tiers": [SHARES[0] | {"flatFee": "1"}, SHARES[1]],
    },
}
BY_EVENT = {"BY_TRANSACTION", "MATRIX", "DYNAMIC"}
ADDS_UP = {"COUNT", "SUM"}
WITH_ALLOWANCE = {"PER_UNIT", "INCLUDED_QUOTA"}
NO_LEVEL = {"COUNT", "AVG", "PERCENTILE_95"}
MULTIPLIED = {"dimension_key": "region", "dimension_pricing": {"eu": Decimal("1.5")}}
# What stands beside the terms: of the unit, of the price, of the version.
EXTRAS = {
    "nothing": ({}, {}, {}),
    "due unused": ({}, {}, {}),
    "groups": ({}, {"group_by": ["region"]}, {}),
    "groups, due unused": ({}, {"group_by": ["region"]}, {}),
    "multipliers": ({}, {}, MULTIPLIED),
    "multipliers, due unused": ({}, {}, MULTIPLIED),
    "measured": ({"divide_by": 3, "rounding": "CEIL", "rounding_places": 1}, {}, {}),
    "recurring": ({"recurring": True}, {}, {}),
    "recurring groups": ({"recurring": True}, {"group_by": ["region"]}, {}),
    "rollover": ({}, {"rollover_periods": 1}, {}),
    "in advance": ({}, {"timing": "ADVANCE"}, {}),
    "credits": ({}, {}, {"credits_allowed": True}),
}


def fault(model, aggregation, extra):
    """The field that refuses a combination, by the rules of the documentation; None: it is sold."""
    is_due = "due" in extra and model in DUE_UNUSED
    rules = {
        "recurring": "recurring" in extra and aggregation in NO_LEVEL,
        "p.rolloverPeriods": extra == "rollover" and model not in WITH_ALLOWANCE,
        "p.billingTiming": extra == "in advance" and model != "FLAT_RATE",
        "p.groupBy": "groups" in extra and (is_due or model == "FLAT_RATE"),
        "dimensionKey": "multipliers" in extra and is_due,
        "p.model": model in BY_EVENT and (aggregation not in ADDS_UP or "recurring" in extra),
    }
    return next((field for field, refuses in rules.items() if refuses), None)


def price(model, extra):
    due = DUE_UNUSED.get(model, {}) if "due" in extra else {}
    back = {"rate": "-0.5"} if extra == "credits" and model == "PER_UNIT" else {}
    return {"model": model} | MODELS[model] | due | back


def refusal(version, draft):
    """The field that selling one unit so is refused by, if any: as a draft, or at publication."""
    try:
        unit_checks.require_sound(draft.unit)
        row = prices._row(version, draft, 0)
        price_checks.require_included(row, path=draft.path)
        prices._whole(row, path=draft.path)
    except Refused as refused:
        return refused.errors[0].field
    return None


def drafts_of(tenant, extra):
    """A price of every combination, with a unit that is not stored."""
    of_unit, of_price, _ = EXTRAS[extra]
    for model, aggregation in product(MODELS, AGGREGATIONS):
        unit = BillableUnitFactory.build(
            tenant=tenant, name=f"{model}-{aggregation}", aggregation=aggregation,
            event_field="user", source_metric="things", unit_cost=Decimal("0.01"), **of_unit,
        )  # fmt: skip
        yield model, aggregation, PriceDraft(unit, price(model, extra), path="p", **of_price)


@pytest.mark.parametrize("extra", EXTRAS)
def test_what_cannot_be_priced_is_refused_by_its_field(extra):
    tenant = TenantFactory()
    version = RatePlanVersionFactory.build(tenant=tenant, **EXTRAS[extra][2])
    for model, aggregation, draft in drafts_of(tenant, extra):
        expected = fault(model, aggregation, extra)
        assert refusal(version, draft) == expected, (model, aggregation)


def publish(tenant, extra):
    """One version with all combinations that are sold."""
    sold = []
    for model, aggregation, draft in drafts_of(tenant, extra):
        if fault(model, aggregation, extra) is None:
            draft.unit.save()
            sold.append(draft)
    version = rate_plans.create_rate_plan(
        tenant=tenant, actor=ACTOR, now=NOW, name="all", currency="USD",
        price_drafts=sold, **EXTRAS[extra][2],
    )  # fmt: skip
    return rate_plans.publish_version(version=version, actor=ACTOR, now=NOW)


def sent(first, when):
    """Six events, two of which are of one user, in two regions."""
    said = zip(("eu", "us", "eu", "eu", "us", "eu"), "abacde", (4, 3, "0.5", 25, 0, 7), strict=True)
    return [
        things(first + n, quantity, occurredAt=f"{when}T0{n}:00:00Z",
               metadata={"region": region, "user": user, "amount": f"{n}.25"})
        for n, (region, user, quantity) in enumerate(said)
    ]  # fmt: skip


def free_of(version):
    """Units with a price that is due without any usage."""
    rows = version.prices.select_related("unit")
    return {row.unit.name for row in rows if parse_terms(row.terms).charge(Decimal(0))}


IN_EVERY_RUN = {"nothing", "recurring groups"}
EACH = [
    pytest.param(extra, marks=() if extra in IN_EVERY_RUN else pytest.mark.slow) for extra in EXTRAS
]


@pytest.mark.parametrize("extra", EACH)
def test_all_others_are_proven_to_the_last_digit(extra, seller, queued, tmp_path):
    """Billed, billed late, and billed after what the period before has left to it."""
    BillableUnitFactory(tenant=seller.tenant, name="things", aggregation="COUNT")
    version = publish(seller.tenant, extra)
    if "groups" in extra or "multipliers" in extra:
        undivided = {f"FLAT_RATE-{one}" for one in AGGREGATIONS}
        assert free_of(version) <= undivided  # a value that comes late owes nothing but its events
    subscribe(seller.tenant, "buyer", version, months=2)
    seller.count(*sent(0, "2026-03-10"))
    bill(seller.tenant, APRIL)
    seller.count(*sent(10, "2026-03-11")[:4])
    accept_all(seller.tenant)
    Tenant.objects.filter(pk=seller.tenant.pk).update(clock_frozen_at=APRIL + timedelta(days=2))
    assert seller.count(*sent(20, "2026-04-01")[2:]).status_code == 202
    (*_, april) = bill(seller.tenant, MAY)
    assert april.lines.exclude(period_start_at=None).exists()
    assert_all_is_proven(seller)
    for invoice in Invoice.objects.all():
        code, said = judged(unpacked(invoice, tmp_path / str(invoice.pk)))
        assert code == 0, said
