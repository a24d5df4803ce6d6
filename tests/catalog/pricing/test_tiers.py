"""Which tiers and steps are refused."""

from decimal import Decimal

import pytest

from catalog.pricing import InvalidTerms, parse_terms
from catalog.pricing.graduated import Graduated
from catalog.pricing.tiers import Tier


def tier(end, **fields):
    return {"tierEnd": end, "unitPrice": 1, **fields}


@pytest.mark.parametrize("model", ["GRADUATED", "VOLUME_TIERED"])
@pytest.mark.parametrize(
    ("tiers", "field", "reason"),
    [
        (None, "tiers", "is required"),
        ([], "tiers", "must be a list of at least one object"),
        ({}, "tiers", "must be a list of at least one object"),
        (["x"], "tiers[0]", "must be an object"),
        ([tier(0), tier(-1)], "tiers[0].tierEnd", "must be above 0"),
        ([tier(-5), tier(-1)], "tiers[0].tierEnd", "must be above 0"),
        ([tier(1000), tier(1000), tier(-1)], "tiers[1].tierEnd", "must be above 1000"),
        ([tier(1000), tier("999.5"), tier(-1)], "tiers[1].tierEnd", "must be above 1000"),
        ([tier(-1), tier(10)], "tiers[0].tierEnd", "only the last one may be open"),
        ([tier(None), tier(None)], "tiers[0].tierEnd", "only the last one may be open"),
        (
            [tier(10), tier(20)],
            "tiers[1].tierEnd",
            "must be open (-1 or null), or units above it have no price",
        ),
        ([tier(10), tier(5)], "tiers[1].tierEnd", "must be above 10"),
        ([tier(10), {"tierEnd": -1}], "tiers[1].unitPrice", "is required"),
        ([tier(-1, price=1)], "tiers[0].price", "is not a term of a tier"),
        ([tier(-1, unitPrice="x")], "tiers[0].unitPrice", "must be a number"),
        (
            [tier(-1, flatFee=-1)],
            "tiers[0].flatFee",
            "must not be negative, as this plan allows no credits",
        ),
        ([tier(-1, tierStart=1)], "tiers[0].tierStart", "must be 0, where this one begins"),
        (
            [tier(10), tier(-1, tierStart=11)],
            "tiers[1].tierStart",
            "must be 10, where this one begins",
        ),
        (
            [tier(10, sortOrder=2), tier(-1, sortOrder=1)],
            "tiers[1].sortOrder",
            "must be above 2: the list is the order",
        ),
    ],
)
def test_contradictory_tiers_are_refused(model, tiers, field, reason):
    with pytest.raises(InvalidTerms) as refusal:
        parse_terms({"model": model, "tiers": tiers})
    assert (refusal.value.field, refusal.value.reason) == (field, reason)


@pytest.mark.parametrize(
    ("steps", "overage_rate", "field", "reason"),
    [
        ([], 1, "steps", "must be a list of at least one object"),
        ([(10, 1), (10, 2)], 1, "steps[1].tierEnd", "must be above 10"),
        ([(-1, 1), (10, 2)], 1, "steps[0].tierEnd", "only the last one may be open"),
        ([(10, 1)], None, "overageRate", "is required, as nothing else prices units above 10"),
        ([(10, 1), (-1, 2)], 1, "overageRate", "must be absent, as the last step is open"),
        ([(10, 1), (-1, 2)], 0, "overageRate", "must be absent, as the last step is open"),
    ],
)
def test_contradictory_steps_are_refused(steps, overage_rate, field, reason):
    listed = [{"tierEnd": end, "price": price} for end, price in steps]
    with pytest.raises(InvalidTerms) as refusal:
        parse_terms({"model": "STAIRSTEP", "steps": listed, "overageRate": overage_rate})
    assert (refusal.value.field, refusal.value.reason) == (field, reason)


def test_contradictory_percentage_tiers_are_refused():
    tiers = [{"tierEnd": 10, "ratePercent": 1}, {"tierEnd": 10, "ratePercent": 1}]
    with pytest.raises(InvalidTerms, match=r"tiers\[1\].tierEnd: must be above 10"):
        parse_terms({"model": "GRADUATED_PERCENTAGE", "tiers": tiers})


def test_every_spelling_of_an_open_end_means_the_same():
    spellings = [{"tierEnd": -1}, {"tierEnd": "-1"}, {"tierEnd": "-1.0"}, {"tierEnd": None}, {}]
    parsed = {
        parse_terms({"model": "GRADUATED", "tiers": [{**spelling, "unitPrice": 1}]})
        for spelling in spellings
    }
    assert len(parsed) == 1


def test_start_and_order_may_confirm_the_tiers():
    confirmed = [
        tier(10, tierStart=0, sortOrder=0),
        tier("20.5", tierStart=10, sortOrder=1),
        tier(-1, tierStart="20.50", sortOrder=2),
    ]
    plain = [tier(10), tier("20.5"), tier(-1)]
    assert parse_terms({"model": "GRADUATED", "tiers": confirmed}) == parse_terms(
        {"model": "GRADUATED", "tiers": plain}
    )


def test_terms_built_in_code_refuse_the_same():
    with pytest.raises(InvalidTerms, match="tiers: must be a list of at least one object"):
        Graduated(())
    with pytest.raises(InvalidTerms, match=r"tiers\[0\].tierEnd: must be open"):
        Graduated((Tier(Decimal(10), Decimal(1)),))
