"""Traffic that is made up."""

from collections import Counter

import msgspec

from aforo.demo.generated import DAYS, Generated


def bodies(traffic: Generated) -> list[bytes]:
    return [body for segment in traffic.segments() for body in segment.bodies]


def test_it_is_the_same_each_time_and_another_for_another_seed():
    assert bodies(Generated()) == bodies(Generated())
    assert bodies(Generated()) != bodies(Generated(seed=8))


def test_every_segment_holds_as_many_events_as_it_says_and_one_broken_body():
    for segment in Generated().segments():
        sent = list(segment.bodies)
        *whole, broken = sent
        assert sum(len(msgspec.json.decode(body)["events"]) for body in whole) == (
            segment.event_count
        )
        assert not broken.endswith(b"}")


def test_the_clock_goes_on_day_by_day():
    clocks = [segment.clock for segment in Generated().segments()]

    assert clocks == sorted(clocks)
    assert len(clocks) == DAYS


def test_it_repeats_events_and_uses_a_key_for_another_event():
    by_key = {}
    for segment in Generated().segments():
        *whole, _ = segment.bodies
        for body in whole:
            for event in msgspec.json.decode(body)["events"]:
                by_key.setdefault(event["idempotencyKey"], []).append(msgspec.json.encode(event))

    times = Counter(len(sent) - len(set(sent)) for sent in by_key.values())
    assert times.total() - times[0] > 100  # keys whose event comes again
    assert sum(len(set(sent)) > 1 for sent in by_key.values()) == DAYS - 2
