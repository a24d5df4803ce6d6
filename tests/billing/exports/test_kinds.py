"""Audit exports of every kind of invoice, from events through the door to verify.py."""

from decimal import Decimal

import pytest

from billing.models import Invoice
from tests.billing.build import APRIL
from tests.billing.exports.dossiers import judged, unpacked
from tests.billing.services.test_consolidation import billed as billed_family
from tests.billing.services.test_consolidation import family
from tests.billing.services.test_progress import ask
from tests.billing.test_late_usage import (
    MAY,
    accept_all,
    bill,
    fresh_process,
    months,
    no_wakes,
    sell,
    seller,
    things,
)

__all__ = ["fresh_process", "months", "no_wakes", "seller"]
pytestmark = pytest.mark.django_db
VOLUME = {
    "model": "VOLUME_TIERED",
    "tiers": [{"tierEnd": 10, "unitPrice": "1"}, {"tierEnd": -1, "unitPrice": "0.5"}],
}
MATRIX = {
    "model": "MATRIX",
    "dimensions": ["model", "region"],
    "cells": [
        {"values": {"model": "large", "region": "*"}, "rate": "0.5"},
        {"values": {"model": "large", "region": "eu"}, "rate": "0.75"},
    ],
    "defaultRate": "0.25",
}
GROUPED = {"model": "PER_UNIT", "rate": "2", "includedFree": "1", "groupBy": ["region"]}
MARKED_UP = {"model": "DYNAMIC", "amountField": "amount", "markupPercent": "10"}
EACH = {"model": "PERCENTAGE", "ratePercent": "10", "minPerTransaction": "1", "fixedFee": "0.1"}
QUOTA = {"model": "INCLUDED_QUOTA", "includedFree": "3", "rate": "0.125"}
IN_THREES = {"model": "PER_UNIT", "rate": "3", "divideBy": "3", "rounding": "CEIL"} | {
    "roundingPlaces": 0
}


def judge(invoice, folder):
    code, said = judged(unpacked(invoice, folder / str(invoice.pk)))
    assert code == 0, said
    return said


def said_by(model, region, amount):
    return {"model": model, "region": region, "amount": amount}


SENT = (
    (1, 4, said_by("large", "eu", "1.25")),
    (2, 3, said_by("large", "us", 2)),
    (3, 2, said_by("small", "eu", 0.5)),
    (4, 25, {"amount": "7"}),
)


@pytest.mark.parametrize(
    "terms", [VOLUME, MATRIX, GROUPED, MARKED_UP, EACH, QUOTA, IN_THREES], ids=str
)
@pytest.mark.parametrize("aggregation", ["SUM", "COUNT"])
def test_terms_of_single_events_and_of_dimensions_are_proven(
    terms, aggregation, seller, queued, tmp_path
):
    sell(seller, terms, aggregation=aggregation)
    seller.count(*(things(n, quantity, metadata=said) for n, quantity, said in SENT))
    (invoice,) = bill(seller.tenant, APRIL)
    assert invoice.lines.filter(type="USAGE_FEE").exists()
    judge(invoice, tmp_path)


@pytest.mark.parametrize(
    "aggregation", ["MAX", "UNIQUE", "LATEST", "AVG", "PERCENTILE_95", "WEIGHTED_SUM"]
)
def test_every_aggregation_is_proven(aggregation, seller, queued, tmp_path):
    sell(seller, QUOTA, aggregation=aggregation, event_field="region")
    seller.count(*(things(n, quantity, metadata=said) for n, quantity, said in SENT))
    (invoice,) = bill(seller.tenant, APRIL)
    judge(invoice, tmp_path)


@pytest.mark.parametrize("terms", [VOLUME, MATRIX, QUOTA], ids=lambda terms: terms["model"])
def test_an_adjustment_takes_the_events_along_that_its_price_begins_with(
    terms, seller, queued, tmp_path
):
    sell(seller, terms)
    seller.count(*(things(n, quantity, metadata=said) for n, quantity, said in SENT[:2]))
    (march,) = bill(seller.tenant, APRIL)
    seller.count(*(things(n, quantity, metadata=said) for n, quantity, said in SENT[2:]))
    accept_all(seller.tenant)
    (april,) = bill(seller.tenant, MAY)
    assert april.lines.filter(period_start_at__isnull=False).exists()
    judge(march, tmp_path)
    assert "4 events" in judge(april, tmp_path)


def test_usage_so_far_is_proven_and_what_takes_it_off_again(seller, queued, tmp_path):
    subscription = sell(seller, VOLUME, fees={"base_fee": Decimal(49)})
    seller.count(things(1, 9))
    first = ask(subscription)
    seller.count(things(2, 50))
    (last,) = bill(seller.tenant, APRIL)
    for invoice in (first, last):
        judge(invoice, tmp_path)


def test_a_consolidated_invoice_brings_its_parts_and_is_their_sum(queued, tmp_path):
    parent, _ = family(2)
    billed_family(parent)
    whole = Invoice.objects.get(kind="CONSOLIDATED")
    said = judge(whole, tmp_path)
    assert said.count("OK  invoice") == 3
    part = tmp_path / str(whole.pk) / "part-2" / "lines.json"
    part.write_text(part.read_text().replace('"amount":"2.00"', '"amount":"2.01"'))
    code, said = judged(tmp_path / str(whole.pk))
    assert code == 1
    assert "part-2/lines.json, line 2, amount" in said
