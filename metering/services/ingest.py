"""Draining the inbox, as tasks and commands ask for it."""

from datetime import datetime

from django.conf import settings
from django.db import transaction

from metering.ingest import backlog, drain, inbox, poison, wake

ROUNDS = 50  # a task that drains a flood gives others their turn, and asks to be called again


def drain_shard(*, shard: int, now: datetime) -> int:
    """Drain one shard until nothing waits; the number of events that left the inbox.

    May run twice, at once or again: rows are locked, and leave with what they became.
    """
    wake.lower_flag(shard)
    drained = 0
    for _ in range(ROUNDS):
        count = drain_once(shard=shard, shards=settings.DRAIN_SHARDS, now=now)
        if count == 0:
            return drained
        drained += count
    wake.ask_for_drain(shard)
    return drained


def drain_once(
    *, shard: int, shards: int, now: datetime, limit: int = drain.EVENTS_PER_DRAIN
) -> int:
    """One merge of up to about `limit` events in one transaction; 0 when nothing waits."""
    claimed: list[int] = []
    try:
        with transaction.atomic():
            drain.begin()
            claimed = inbox.claim(shard=shard, shards=shards, limit=limit)
            return drain.drain(claimed, now=now) if claimed else 0
    except poison.POISON:
        if not claimed:
            raise
        return poison.drain_in_halves(claimed, now=now)


def sweep_inbox() -> list[int]:
    """Ask for a drain of every shard that has rows: what lost messages cost two seconds for.

    The doors are told how much waits, so that they can slow down whoever floods the inbox.
    """
    backlog.measure()
    waiting = inbox.waiting_shards(settings.DRAIN_SHARDS)
    for shard in waiting:
        wake.ask_for_drain(shard)
    return waiting
