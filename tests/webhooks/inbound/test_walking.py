"""The walk finds what jsonpath-ng finds, and stops where it has to."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonpath_ng.parser import parse

from webhooks.inbound.mapping import Headers, Paths, Reading, made_of
from webhooks.inbound.paths import InvalidPath, Search, check, compiled
from webhooks.inbound.rules import Rule
from webhooks.inbound.walking import Allowance, TooMuchWork, matches

NAMES = ["a", "b", "c"]
PAYLOADS = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.sampled_from(NAMES),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
    ),
    max_leaves=20,
)
STEPS = ["a", "b", "c", "a,b", "*", "[0]", "[-1]", "[1,0]", "[*]", "[1:]", "[:2]", "[::-1]"]


@st.composite
def paths(draw):
    steps = draw(st.lists(st.sampled_from(STEPS), max_size=4))
    deep = draw(st.integers(0, 5))
    text = "$"
    for place, step in enumerate(steps):
        dots = ".." if place == deep else "" if step.startswith("[") else "."
        text += dots + step
    return text


@given(payload=PAYLOADS, path=paths())
def test_the_walk_finds_what_the_library_finds_in_the_same_order(payload, path):
    (own,) = compiled(path)
    found = list(matches(own, payload, Allowance(10**6)))
    assert found == [match.value for match in parse(path).find(payload)]


@pytest.mark.parametrize(
    "path", ["$..a..b", "$..*..*..*", "$..a.`parent`", "$.a where b", "$.a.$", "@..a..b"]
)
def test_a_path_whose_work_grows_faster_than_its_payload_is_refused(path):
    with pytest.raises(InvalidPath):
        check(path)


def test_nothing_is_looked_at_beyond_the_allowance_however_deep_it_is():
    deep = msgspec.json.decode("[" * 500 + "]" * 500)
    assert Search().found(deep, "$..a") is None
    with pytest.raises(TooMuchWork):
        Search(Allowance(400)).found(deep, "$..a")
    with pytest.raises(TooMuchWork):
        Search(Allowance(400)).found({"a": list(range(500))}, "$.a[*]")
    assert Search(Allowance(10)).found({"id": 7, "rest": deep}, "$..id") == 7


def test_what_takes_too_many_looks_is_parked_with_the_reason():
    """Each item looks through all of the payload: a square of it."""
    rule = Rule(items="$.lines", customer="c", metric="m", metadata={"x": "$..none"})
    payload = {"id": "evt_1", "lines": [{"n": number} for number in range(100)]}
    search = Search(Allowance(15_000))
    made = made_of(payload, Reading("s", rules=(rule,)), Headers(), search)
    assert (made.events, made.why.detail) == (
        (),
        "finding all that the mappings name takes too many looks",
    )
    assert search.allowance.left > -300


def test_a_push_makes_so_many_events_and_what_makes_more_is_refused_by_name():
    reading = Reading("s", rules=(Rule(items="$.a[0,0,0]", customer="$.c", metric="m"),))
    payload, search = {"id": "e", "c": "cust_1", "a": [1]}, Search(events_left=7)
    made = [made_of(payload, reading, Headers().of(place, 3), search) for place in range(3)]
    assert [len(one.events) for one in made] == [3, 3, 0]
    assert (made[2].why.code, made[2].why.detail) == (
        "INVALID_EVENT",
        "a push makes at most 10,000 events at once",
    )
    huge = Rule(items="$.a" + "[0,0,0,0,0,0,0,0,0,0]" * 5, customer="$.c", metric="m")
    deep = {"id": "e", "c": "cust_1", "a": [[[[[1]]]]]}
    assert "10,000 events" in made_of(deep, Reading("s", rules=(huge,)), Headers()).why.detail


def test_payloads_and_events_are_work_as_well():
    search = Search(Allowance(100))
    made = [made_of({}, Reading("s"), Headers(), search) for _ in range(100)]
    assert "no customer" in made[0].why.detail
    assert "too many looks" in made[99].why.detail


def test_a_path_that_was_saved_before_it_was_refused_parks_its_push():
    made = made_of({"a": 1}, Reading("s", Paths(customer_id="$..a..b")), Headers())
    assert "more than one `..`" in made.why.detail
