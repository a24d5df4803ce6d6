"""verify.py shares no line with the product, and comes to the same amounts and quantities."""

import json
from decimal import Decimal, localcontext

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aforo.money import EXACT, plain
from billing.exports import verify
from catalog.pricing import MODELS, Usage, parse_terms
from catalog.pricing.dimensions import dimension_of
from metering.aggregation import key_hash
from metering.aggregation.percentile import nearest_rank
from metering.aggregation.weighted import Weighted
from metering.counted_values import fields_of, value_hash
from tests.catalog.pricing.strategies import event_fields, scaled, small, terms_of

SPAN = (0, 10_000)
UNIT = {"aggregation": "SUM", "eventField": "user"}
ENTRY = {
    "unit": UNIT,
    "periodStart": SPAN[0],
    "periodEnd": SPAN[1],
    "carried": None,
    "carriedValues": [],
}
measures = st.fixed_dictionaries(
    {},
    optional={
        "divideBy": st.sampled_from(["3", "1000", "0.5"]),
        "multiplier": st.sampled_from(["1.5", "0", "2"]),
    },
) | st.fixed_dictionaries(
    {"rounding": st.sampled_from(["ROUND", "CEIL", "FLOOR"]), "roundingPlaces": st.integers(0, 3)}
)


def event(quantity, *, at=0, key="k", metadata=None):
    fields = metadata and json.dumps(metadata, default=plain)
    own = dict.fromkeys(["metric", "product_type", "session_id", "agent_id", "tool_name"])
    return {
        **own,
        "quantity": plain(quantity),
        "occurred_at": at,
        "idempotency_key": key,
        "metadata": fields,
    }


def told(events, *, terms=None, **changes):
    """The tally of verify.py."""
    entry = ENTRY | changes
    tally = verify.Tally(entry, terms or {"model": "FREE"})
    for one in events:
        tally.add(one)
    return tally


def test_no_model_is_missing():
    assert set(MODELS) <= set(verify.MODELS)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    terms=terms_of(), beside=measures, sent=st.lists(st.tuples(small, event_fields()), max_size=6)
)
def test_every_model_comes_to_the_same_amount(terms, beside, sent):
    terms = parse_terms(terms.as_dict() | beside)
    usage = Usage(Decimal(0))
    for quantity, fields in sent:
        usage = terms.add(usage, terms.part_of(quantity, fields))
    with localcontext(EXACT):
        wire = json.loads(json.dumps(terms.as_dict()))
        tally = told([event(quantity, metadata=fields) for quantity, fields in sent], terms=wire)
        assert verify.price(wire, tally.usage) == terms.charge(usage)


moments = st.integers(SPAN[0], SPAN[1] - 1)
levels = st.lists(st.tuples(moments, st.text(max_size=3), scaled(50, 0)), max_size=12)


@given(sent=levels, carried=st.none() | scaled(50, 0))
def test_every_aggregation_comes_to_the_same_quantity(sent, carried):
    events = [event(quantity, at=at, key=key) for at, key, quantity in sent]
    placed = sorted((at, key_hash(key), quantity) for at, key, quantity in sent)
    begun = carried or Decimal(0)
    sizes = sorted(quantity for *_, quantity in sent)
    expected = {
        "COUNT": len(sent),
        "SUM": begun + sum(sizes),
        "MAX": max([begun, *sizes]),
        "LATEST": placed[-1][2] if sent else begun,
        "PERCENTILE_95": nearest_rank(sizes),
        "WEIGHTED_SUM": Weighted(span=SPAN, carried=begun, changes=placed).quantity,
    }
    with localcontext(EXACT):
        for kind, quantity in expected.items():
            unit = UNIT | {"aggregation": kind}
            start = None if carried is None else plain(carried)
            assert told(events, unit=unit, carried=start).quantity == quantity, kind


VALUES = [None, "a", "1", 1, 1.0, "1.0", True, "true", [1, "x"], {"b": 1, "a": None}, "ü", "null"]


@pytest.mark.parametrize("value", VALUES)
def test_values_are_told_apart_as_they_are_counted(value):
    metadata = json.dumps({"user": value})
    mine = verify.said(event(Decimal(1)) | {"metadata": metadata})["user"]
    theirs = fields_of(metadata, {})["user"]
    assert verify.hashed_value(mine) == value_hash(theirs)
    line = {"dimension": dimension_of(["user"], {"user": theirs})}
    assert (
        verify.dimension_of(line, event(Decimal(1)) | {"metadata": metadata}) == line["dimension"]
    )


def test_unique_values_are_counted_once_and_not_again_when_they_were_carried():
    names = ["a", "b", "a", "c"]
    events = [event(Decimal(1), metadata={"user": name}) for name in names]
    unit = UNIT | {"aggregation": "UNIQUE"}
    assert told(events, unit=unit).quantity == 3
    carried = {"carried": "1", "carriedValues": [value_hash("a")]}
    assert told(events, unit=unit, **carried).quantity == 3
