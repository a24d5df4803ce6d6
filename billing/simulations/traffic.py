"""Usage of a scenario: the same seed makes the same events, byte for byte."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from random import Random
from typing import Any

import msgspec

from aforo.errors import Refused
from aforo.money import plain
from billing.simulations.scenario import Spread, UsageStep

BATCH = 1_000  # events per request
_BACK = timedelta(hours=1)  # usage that says no time lies in the hour before now


def bodies(usage: UsageStep, *, step: int, seed: int, now: datetime) -> Iterator[bytes]:
    """Requests with the events of one step, each up to `BATCH`; repeats come last."""
    events = _events(usage, step=step, seed=seed, now=now)
    while batch := list(islice(events, BATCH)):
        yield msgspec.json.encode({"events": batch})


def encoded(body: object) -> bytes:
    """The body of a request."""
    return msgspec.json.encode(body)


def ends_at(usage: UsageStep, now: datetime) -> datetime:
    """When the last of its events has occurred: the clock must stand there, or later."""
    return max(usage.to or now, now)


def _events(usage: UsageStep, *, step: int, seed: int, now: datetime) -> Iterator[dict[str, Any]]:
    end = usage.to or now
    start = usage.from_ or end - _BACK
    if start >= end and usage.events:
        raise Refused.naming(f"steps[{step}].usage.from", "INVALID", "usage begins before its end")
    gap = (end - start) / max(usage.events, 1)
    skew = timedelta(seconds=usage.skew_seconds)
    for count in (usage.events, min(usage.duplicates, usage.events)):
        drawn = Random(f"{seed}:{step}")  # noqa: S311 - the same draw for whoever runs it
        for number in range(count):
            yield {
                "customerId": usage.customer,
                "metricName": usage.metric,
                "quantity": _quantity(usage.quantity, drawn),
                "occurredAt": (start + gap * number + skew).isoformat(),
                "idempotencyKey": f"step-{step}-{number}",
                "metadata": {key: _one(value, drawn) for key, value in usage.metadata.items()},
            }


def _quantity(quantity: str | Spread, drawn: Random) -> msgspec.Raw:
    if isinstance(quantity, str):
        return msgspec.Raw(quantity.encode())
    places = quantity.places
    least, most = (int(Decimal(end).scaleb(places)) for end in (quantity.least, quantity.most))
    return msgspec.Raw(plain(Decimal(drawn.randint(least, most)).scaleb(-places)).encode())


def _one(value: object, drawn: Random) -> object:
    return drawn.choice(value) if isinstance(value, list) else value
