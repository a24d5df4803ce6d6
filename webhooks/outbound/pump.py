"""The carrier: from the outbox to deliveries, and on to endpoints, until nothing is due."""

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from datetime import datetime

from aforo.outbox import waking
from webhooks.outbound.carrying import carry_page
from webhooks.outbound.claiming import claim
from webhooks.outbound.recording import record
from webhooks.outbound.sending import Outcome, Sender
from webhooks.outbound.turns import LONGEST_SECONDS, alone

AT_ONCE = 500  # attempts under way; each is a connection and a few kilobytes
_GLANCE = 0.2  # seconds between looks for what is new while all attempts under way hang
_ALONE = 7_305_241_003  # an advisory lock: one carrier at a time, so that one worker is busy
Now = Callable[[], datetime]


@dataclass(slots=True)
class Carried:
    """What one carrier did."""

    messages: int = 0
    attempts: int = 0
    is_done: bool = True


def carry_out(*, now: Now, seconds: int = LONGEST_SECONDS) -> Carried:
    """Carry out all that is due; `is_done` is False when time was up before.

    Whoever comes meanwhile goes away again: what they came for is seen by a last look after the
    lock is free.
    """
    carried = Carried()
    end = time.monotonic() + seconds
    while carried.is_done:
        with alone(_ALONE) as is_mine:
            if not is_mine:
                return carried
            waking.lower_flag()
            before = carried.messages + carried.attempts
            _carry_all(carried, end, now)
        if carried.messages + carried.attempts == before:
            return carried
    return carried


def _carry_all(carried: Carried, end: float, now: Now) -> None:
    """Rounds of: new messages, free endpoints, finished attempts. Only this thread has rows.

    When time is up, healthy endpoints are served on until the others' attempts have ended.
    """
    under_way: set[Future[Outcome]] = set()
    last: set[Future[Outcome]] | None = None  # what was under way when time was up
    with Sender(now=now) as sender:
        while True:
            if last is None and time.monotonic() > end:
                last = set(under_way)
            last = None if last is None else last & under_way
            is_over = last is not None and not last
            messages = 0 if is_over else carry_page(now=now())
            carried.messages += messages
            under_way = _recorded(under_way, carried, now)  # before a claim of theirs is void
            room = 0 if is_over else AT_ONCE - len(under_way)
            claims = claim(limit=room, now=now(), only_healthy=last is not None) if room else []
            under_way |= {sender.send(one) for one in claims}
            if not under_way and not messages:
                carried.is_done = last is None
                return
            wait(under_way, timeout=_GLANCE, return_when=FIRST_COMPLETED)


def _recorded(under_way: set[Future[Outcome]], carried: Carried, now: Now) -> set[Future[Outcome]]:
    """Write down the attempts that have ended; those that have not."""
    done = {one for one in under_way if one.done()}
    if done:
        record([one.result() for one in done], now=now())
        carried.attempts += len(done)
    return under_way - done
