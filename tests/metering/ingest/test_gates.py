"""What is judged of one event by itself, against slower definitions of the same."""

import json
from decimal import Decimal

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from metering.ingest import gates
from metering.ingest.events import Event

digits = st.text("0123456789", min_size=1, max_size=40)
spelled = st.builds("{}.{}e{}".format, digits, digits, st.integers(-60, 60)) | digits
texts = st.text("[]{}\\\"\0a'", max_size=6)
values = st.recursive(
    st.none() | texts | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=20,
)


def event(**fields):
    return Event(**{"customerId": "c", "metricName": "m", "quantity": Decimal(1)} | fields)


def shifted(text):
    """The digits before and after the point, without the zeros that say nothing."""
    plain = format(Decimal(text), "f")
    whole, _, decimals = plain.partition(".")
    return whole.lstrip("0"), decimals.rstrip("0")


@given(spelled)
@example("0e999999")
@example("1" + "0" * 24)
def test_a_quantity_has_at_most_24_digits_before_and_12_after_the_point(text):
    quantity = Decimal(text)
    refusal = gates.check_quantity(event(quantity=quantity))
    if abs(quantity.adjusted()) > 100:
        assert (refusal is None) == (not quantity)
        return
    before, after = shifted(text)
    assert (refusal is None) == (len(before) <= 24 and len(after) <= 12)


def depth(value):
    match value:
        case dict():
            return 1 + max(map(depth, value.values()), default=0)
        case list():
            return 1 + max(map(depth, value), default=0)
    return 0


@example(value={}, levels=63, as_objects=False)
@given(values, st.integers(0, 70), st.booleans())
def test_metadata_is_at_most_64_levels_deep(value, levels, as_objects):
    for _ in range(levels):
        value = {"[": value} if as_objects else [value]
    metadata = {"a": value}
    raw = msgspec.Raw(json.dumps(metadata).replace("\\u0000", "").encode())
    refusal = gates.check_text(event(metadata=raw))
    assert (refusal is None) == (depth(metadata) <= gates.MAX_DEPTH)


@given(st.text("\0\\u0", max_size=12))
def test_a_nul_is_found_and_nothing_else_taken_for_one(text):
    raw = msgspec.Raw(json.dumps({"a": text}).encode())
    refusal = gates.check_text(event(metadata=raw))
    assert (refusal is not None) == ("\0" in text)
