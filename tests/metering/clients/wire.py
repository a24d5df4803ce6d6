"""What a client sends and reads, and what was counted of it."""

import msgspec

from aforo.money import plain
from catalog.models import BillableUnit
from metering.models import DeadLetter, RunningTotal, UsageEvent

COUNT, SUM = {"aggregation": "COUNT"}, {"aggregation": "SUM"}
READ_BY_SDKS = {"accepted": int, "duplicates": int, "failed": int, "errors": list}


def post(seller, body, path="/v1/ingest/batch", **headers):
    """Send as a client does: a bearer token, JSON, and whatever else it says of itself."""
    return seller.post(msgspec.json.encode(body), path=path, **headers)


def told(answer):
    """The counts of a 202 as the clients read them: bare, at top level."""
    assert answer.status_code == 202, answer.content
    members = answer.json()
    assert all(isinstance(members[name], kind) for name, kind in READ_BY_SDKS.items())
    assert isinstance(members["killedSessionIds"], list)
    assert "data" not in members
    return members["accepted"], members["duplicates"], members["failed"]


def counted():
    """The quantity of each unit's totals, by the unit's name."""
    names = dict(BillableUnit.objects.values_list("id", "name"))
    totals = RunningTotal.objects.order_by("id").values_list("unit_id", "quantity")
    sums = {}
    for unit, quantity in totals:
        sums[names[unit]] = sums.get(names[unit], 0) + quantity
    return {name: plain(quantity) for name, quantity in sums.items()}


def state():
    """Everything that a repeat must leave as it is."""
    totals = RunningTotal.objects.order_by("id")
    return (
        list(totals.values_list("id", "quantity", "revenue", "event_count", "position")),
        sorted(UsageEvent.objects.values_list("idempotency_key", "running_total_id")),
        sorted(DeadLetter.objects.values_list("code", "batch_index")),
    )


def assert_repeats_change_nothing(seller, *sends, times=3):
    """The same requests again and again, each answered with a 202, add to no count."""
    before = state()
    for _ in range(times):
        for send in sends:
            assert send().status_code == 202
        seller.drain()
    assert state() == before
