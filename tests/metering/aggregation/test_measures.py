"""The quantity of a total does not depend on the order in which its events come."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aforo.money import ZERO
from metering.aggregation import (
    Average,
    Latest,
    Percentile,
    Weighted,
    key_hash,
    measure_of,
    nearest_rank,
)
from metering.aggregation.percentile import SAMPLE
from metering.aggregation.weighted import CHANGES
from tests.metering import aggregations as plain

START, END = 1_000_000, 11_000_000
SPAN = (START, END)
KINDS = {
    "LATEST": lambda events, carried: plain.latest(events, carried or ZERO),
    "AVG": lambda events, _: plain.average(events),
    "PERCENTILE_95": lambda events, _: plain.percentile_95(events),
    "WEIGHTED_SUM": lambda events, carried: plain.weighted(events, START, END, carried or ZERO),
}
sizes = st.decimals(0, 10**6, places=3)
moments = st.integers(START, END - 1) | st.sampled_from([START, START + 5, END - 1])
many_events = st.dictionaries(st.text(min_size=1, max_size=4), st.tuples(moments, sizes)).map(
    lambda found: [(moment, key, size) for key, (moment, size) in found.items()]
)


def filled(kind, events, *, carried=None, state=None):
    measure = measure_of(kind, state, span=SPAN, carried=carried)
    for moment, key, size in events:
        measure.add(moment, key_hash(key), size)
    return measure


@pytest.mark.parametrize("kind", KINDS)
@given(events=many_events, carried=st.none() | sizes, order=st.randoms(), cut=st.integers(0, 99))
def test_quantities_do_not_depend_on_the_order_nor_on_where_a_drain_ended(
    kind, events, carried, order, cut
):
    expected = KINDS[kind](events, carried)
    order.shuffle(events)
    measure = filled(kind, events[:cut], carried=carried)
    stored = msgspec.json.decode(msgspec.json.encode(measure.state()))
    measure = filled(kind, events[cut:], carried=carried, state=stored)
    if len(events) <= min(SAMPLE, CHANGES):
        assert measure.quantity == expected
        assert measure.state() == filled(kind, sorted(events), carried=carried).state()


@pytest.mark.parametrize("kind", ["AVG", "PERCENTILE_95", "WEIGHTED_SUM"])
@given(events=many_events, data=st.data())
def test_what_is_taken_back_has_never_been(kind, events, data):
    gone = data.draw(st.lists(st.sampled_from(events), unique=True)) if events else []
    measure = filled(kind, events)
    for moment, key, size in gone:
        assert measure.remove(moment, key_hash(key), size)
    assert measure.quantity == KINDS[kind]([one for one in events if one not in gone], None)


@given(events=many_events)
def test_the_latest_is_told_anew_when_it_is_taken_back_and_only_then(events):
    measure = filled("LATEST", events)
    ordered = plain.in_time(events)
    for event in ordered[:-1]:
        assert measure.remove(event[0], key_hash(event[1]), event[2])
    for event in ordered[-1:]:
        assert not measure.remove(event[0], key_hash(event[1]), event[2])
        assert measure.quantity == event[2]


@pytest.mark.parametrize(
    ("count", "rank"), [(1, 1), (2, 2), (19, 19), (20, 19), (21, 20), (40, 38), (100, 95)]
)
def test_nearest_rank(count, rank):
    assert nearest_rank([Decimal(number) for number in range(1, count + 1)]) == rank


def test_nothing_has_a_percentile_of_zero():
    assert nearest_rank([]) == ZERO


def test_a_long_period_keeps_a_sample_that_no_order_changes():
    events = [(START + number, f"k{number}", Decimal(number)) for number in range(3 * SAMPLE)]
    measure = filled("PERCENTILE_95", events)
    assert measure.state() == filled("PERCENTILE_95", events[::-1]).state()
    assert len(measure.state()["sample"]) == SAMPLE
    assert abs(measure.quantity - 570) < 30  # the percentile of all is 570


def test_levels_in_order_are_exact_however_many():
    events = [(START + 7 * number, f"k{number}", Decimal(number)) for number in range(1_000)]
    measure = filled("WEIGHTED_SUM", events, carried=Decimal(9))
    assert measure.quantity == plain.weighted(events, START, END, Decimal(9))
    assert measure.level == 999
    assert len(measure.state()["changes"]) == CHANGES


def test_what_is_older_than_all_kept_changes_waits_for_the_bill_run():
    events = [(START + 7 * number, f"k{number}", Decimal(5)) for number in range(100)]
    measure = filled("WEIGHTED_SUM", events)
    before = measure.quantity
    assert measure.add(START + 1, key_hash("late"), Decimal(1_000)) == before


def test_worked_example_of_a_level_held_over_time():
    """10 seconds: carried 4 for 2 s, then 10 for 5 s, then 0."""
    measure = Weighted.from_state(None, span=SPAN, carried=Decimal(4))
    assert measure.quantity == 4
    measure.add(START + 2_000_000, key_hash("a"), Decimal(10))
    measure.add(START + 7_000_000, key_hash("b"), ZERO)
    assert measure.quantity == Decimal("5.8")
    assert measure.level == 0


def test_worked_example_of_an_average():
    measure = Average.from_state(None, span=SPAN)
    for number, size in enumerate((1, 1, 2)):
        measure.add(START, key_hash(f"{number}"), Decimal(size))
    assert measure.quantity == Decimal("1.333333333333")


def test_two_events_of_one_instant_are_told_apart_by_their_hashes():
    first, second = sorted("ab", key=key_hash)
    measure = Latest.from_state(None, span=SPAN)
    measure.add(START, key_hash(second), Decimal(2))
    assert measure.add(START, key_hash(first), Decimal(1)) == 2


def test_a_sample_keeps_what_it_holds():
    measure = Percentile.from_state(None, span=SPAN)
    measure.add(START, key_hash("a"), Decimal(3))
    assert measure.remove(START, key_hash("never"), Decimal(3))
    assert measure.quantity == 3
