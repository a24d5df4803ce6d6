"""Access checks while keys are revoked and subscriptions cancelled: is a "yes" ever wrong?

From the moment that revoking or cancelling was answered, no request that begins later may be
allowed. The one exception is what a tenant wants: while nothing can be known of a customer, fail
open. Such an answer says so, and is counted apart; it never holds for a revoked key.
"""

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx

from patient import TIMEOUT, Patient, taken

FEATURE = "access"
SHOWN = 20  # wrong answers that are printed
AWAY = 0.2  # seconds until somebody is asked again who was not there


@dataclass(frozen=True)
class Closing:
    """What is closed in the run: a key is revoked, or a customer's subscription cancelled."""

    token: str  # asked with this key
    customer: str  # for this customer
    path: str  # of the request that closes it
    is_key: bool


@dataclass
class Access:
    """The checks of one tenant: who still may, what was answered."""

    slug: str
    closings: list[Closing]  # in the order in which they are closed
    counts: Counter[str] = field(default_factory=Counter)
    asked_at: dict[Closing, float] = field(default_factory=dict)  # to close it, for the first time
    closed_at: dict[Closing, float] = field(default_factory=dict)  # when that was answered 2xx
    shown: list[str] = field(default_factory=list)

    def judge(self, one: Closing, begun: float, answer: httpx.Response) -> str:
        """What an answer was, by what was known before its request began."""
        if answer.status_code not in {HTTPStatus.OK, HTTPStatus.UNAUTHORIZED}:
            return "unanswered"
        said = answer.json()
        allowed, fallback = said.get("allowed", False), said.get("fallback")
        if self.closed_at.get(one, begun) < begun:
            if not allowed:
                return "no"
            return "blind_yes" if fallback == "OPEN" and not one.is_key else "wrong_yes"
        if one in self.asked_at:
            return "unsure"
        if allowed:
            return "open_yes" if fallback else "yes"
        return "blind_no" if fallback else "wrong_no"


class Asker:
    """Asks about anybody, half of the time about those that were closed lately."""

    def __init__(self, url: str, access: Access, chance: random.Random) -> None:
        self._access = access
        self._chance = chance
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT)

    def step(self) -> bool:
        access = self._access
        closed = list(access.closed_at)
        lately = closed[-12:] if closed and self._chance.random() < 0.5 else access.closings  # noqa: PLR2004
        one = self._chance.choice(lately)
        begun = time.monotonic()
        try:
            answer = self._ask(one)
        except httpx.TransportError:
            access.counts["unanswered"] += 1
            time.sleep(AWAY)
            return True
        what = access.judge(one, begun, answer)
        access.counts[what] += 1
        if what in {"wrong_yes", "wrong_no"} and len(access.shown) < SHOWN:
            access.shown.append(_told(access, one, what, begun, answer))
        return True

    def _ask(self, one: Closing) -> httpx.Response:
        return self._http.post(
            "/v1/canAccess",
            json={"customerId": one.customer, "featureKey": FEATURE},
            headers={"Authorization": f"Bearer {one.token}"},
        )


class Closer:
    """Closes one after the other, each request repeated until it is answered."""

    def __init__(self, operator: Patient, access: Access) -> None:
        self._operator = operator
        self._access = access
        self._left = iter(access.closings)

    def step(self) -> bool:
        one = next(self._left, None)
        if one is None:
            return False
        self._access.asked_at[one] = time.monotonic()
        taken(self._operator.call("POST", one.path, json={}))
        self._access.closed_at[one] = time.monotonic()
        return True


def _told(access: Access, one: Closing, what: str, begun: float, answer: httpx.Response) -> str:
    which = "revoked key" if one.is_key else "cancelled subscription"
    since = begun - access.closed_at.get(one, begun)
    took = access.closed_at.get(one, begun) - access.asked_at.get(one, begun)
    return (
        f"{what} ({access.slug}, {which}), {since:.2f} s after it was closed,"
        f" which took {took:.2f} s: {answer.status_code} {answer.text[:160]}"
    )
