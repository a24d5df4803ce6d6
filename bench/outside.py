"""Those who stand around an installation: they ask, push and listen while it is killed."""

import hashlib
import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import psycopg

import facts
import pushing
import sellers
from asking import FEATURE, Access, Asker, Closer, Closing
from facts import Endpoint, Teller
from patient import Loop, Patient, going_on, taken
from pushing import Pusher, Pushes
from sellers import Seller
from sql import insert

FALLBACKS = ("OPEN", "CLOSED")  # of the two sellers
CLOSINGS = 120  # of a seller, if the run is long enough: every second one a key
PAUSED = 5  # subscriptions that are paused and resumed
USUAL = 4  # other customers: pushes are theirs, keys are asked with for one of them
CLOSE_EACH, ASK_EACH, PUSH_EACH, TELL_EACH = 0.9, 0.02, 0.12, 0.4  # seconds of rest
ANSWERS = ("yes", "no", "wrong_yes", "wrong_no", "blind_yes", "open_yes", "blind_no", "unanswered")
WRONG = (
    "wrong_yes",
    "pushes_lost",
    "pushes_doubled",
    "facts_lost",
    "facts_unordered",
    "facts_invented",
    "facts_unsaid",
)
_IDS = """
    SELECT c.external_id, s.id FROM subscriptions s JOIN customers c ON c.id = s.customer_id
    WHERE s.tenant_id = %s
"""


@dataclass
class Outside:
    """Everybody, and what they know."""

    database: str
    loops: list[Loop]
    accesses: list[Access]
    seller: Seller  # whose facts and pushes are looked at
    pushes: Pushes
    endpoint: Endpoint
    teller: Teller
    subjects: Mapping[str, str]  # paths of cancellations to subscriptions
    patience: float

    def at_it(self) -> AbstractContextManager[None]:
        """All of them at once."""
        return going_on(self.loops)

    def figures(self) -> dict[str, int]:
        """What they have found, when all that was answered has come to its end."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            ledger = self._settled(connection)
            told = facts.told(connection, self.seller.tenant_id, self.endpoint, self._said())
        counts = sum((access.counts for access in self.accesses), Counter[str]())
        return {
            "asked": counts.total(),
            **{name: counts[name] for name in ANSWERS},
            "closed": sum(len(access.closed_at) for access in self.accesses),
            "pushes": ledger.pushes,
            "pushes_lost": ledger.lost,
            "pushes_doubled": ledger.doubled,
            "facts": told.facts,
            "facts_lost": told.lost,
            "facts_repeated": told.repeated,
            "facts_unordered": told.unordered,
            "facts_invented": told.invented,
            "facts_unsaid": told.unsaid,
        }

    def is_wrong(self, figures: Mapping[str, int]) -> bool:
        """Whether any of it must not be."""
        return any(figures[name] for name in WRONG)

    def shown(self) -> list[str]:
        """Wrong answers, some of them."""
        return [line for access in self.accesses for line in access.shown]

    def _said(self) -> dict[str, list[str]]:
        closed = self.accesses[0].closed_at
        over = [one.path for one in closed if not one.is_key]
        gone = {self.subjects[path]: ["subscription.cancelled"] for path in over}
        return {**self.teller.said, **gone}

    def _settled(self, connection: psycopg.Connection) -> pushing.Found:
        """The ledger, when nothing waits any more or nobody wants to wait any longer."""
        deadline, tenant_id = time.monotonic() + self.patience, self.seller.tenant_id
        while True:
            ledger = pushing.found(connection, tenant_id, self.pushes)
            is_done = not ledger.lost and not facts.waiting(connection, tenant_id)
            if is_done or time.monotonic() > deadline:
                return ledger
            time.sleep(0.2)


@contextmanager
def outside(folder: Path, *, seed: int, patience: float) -> Iterator[Outside]:
    """Sell something in the installation of `folder`, and be ready to use it in every way."""
    told = json.loads((folder / "environment.json").read_text())
    database, url = told["DATABASE_URL"], told["AFORO_SITE_URL"]
    customers = len(FALLBACKS) * (CLOSINGS // 2 + PAUSED + USUAL)
    now = datetime.now(UTC)
    endpoint = Endpoint()
    with psycopg.connect(database, autocommit=True) as connection:
        sold = sellers.create(
            connection, now=now, tenants=len(FALLBACKS), metrics=1, subscriptions=customers
        )
        operators = [Patient(url, one.operator_token, patience=patience) for one in sold]
        ids = [_subscriptions(connection, one) for one in sold]
        accesses = [
            Access(fallback, _closings(connection, one, its, now))
            for fallback, one, its in zip(FALLBACKS, sold, ids, strict=True)
        ]
        for fallback, operator, one in zip(FALLBACKS, operators, sold, strict=True):
            _grant(connection, operator, one, fallback)
    with facts.listening(endpoint) as address:
        facts.subscribe(operators[0], endpoint, address)
        paused = [ids[0][name] for name in sold[0].customers[USUAL : USUAL + PAUSED]]
        pushes, teller = (
            Pushes.made(operators[0], sold[0].customers[1]),
            Teller(operators[0], paused),
        )
        loops = _loops(url, operators, accesses, pushes, teller, seed=seed, patience=patience)
        subjects = {_cancel(one): one for its in ids for one in its.values()}
        yield Outside(
            database, loops, accesses, sold[0], pushes, endpoint, teller, subjects, patience
        )


def _loops(
    url: str,
    operators: list[Patient],
    accesses: list[Access],
    pushes: Pushes,
    teller: Teller,
    *,
    seed: int,
    patience: float,
) -> list[Loop]:
    steps: list[Loop] = []
    for number, (operator, access) in enumerate(zip(operators, accesses, strict=True)):
        steps.append(Loop(Closer(operator, access).step, pause=CLOSE_EACH))
        steps.append(Loop(Asker(url, access, random.Random(seed + number)).step, pause=ASK_EACH))
    for source in pushes.sources:
        sender = Patient(url, patience=patience)
        steps.append(Loop(Pusher(sender, pushes, source, seed).step, pause=PUSH_EACH))
    return [*steps, Loop(teller.step, pause=TELL_EACH)]


def _grant(
    connection: psycopg.Connection, operator: Patient, seller: Seller, fallback: str
) -> None:
    """The one feature that is asked for; from then on it is known, once a worker has written it."""
    ((plan_id,),) = connection.execute(
        "SELECT id FROM rate_plans WHERE tenant_id = %s", (seller.tenant_id,)
    ).fetchall()
    taken(operator.call("PATCH", "/api/v1/tenant", json={"accessFallback": fallback}))
    taken(operator.call("POST", "/api/v1/features", json={"key": FEATURE}))
    taken(operator.call("PUT", f"/api/v1/rateplans/{plan_id}/features/{FEATURE}", json={}))


def _subscriptions(connection: psycopg.Connection, seller: Seller) -> dict[str, str]:
    rows = connection.execute(_IDS, (seller.tenant_id,)).fetchall()
    return {name: str(subscription_id) for name, subscription_id in rows}


def _closings(
    connection: psycopg.Connection, seller: Seller, ids: Mapping[str, str], now: datetime
) -> list[Closing]:
    """Every second one a key of its own, the others customers of their own."""
    usual, others = seller.customers[0], seller.customers[USUAL + PAUSED :]
    closings: list[Closing] = []
    for number, customer in enumerate(others):
        token = f"sk_live_closed{seller.number}{number:033d}"
        path = f"/api/v1/api-keys/{_key(connection, seller, token, now)}/revoke"
        closings.append(Closing(token, usual, path, is_key=True))
        closings.append(Closing(seller.token, customer, _cancel(ids[customer]), is_key=False))
    return closings


def _cancel(subscription_id: str) -> str:
    return f"/api/v1/subscriptions/{subscription_id}/cancel"


def _key(connection: psycopg.Connection, seller: Seller, token: str, now: datetime) -> UUID:
    key_id = uuid4()
    insert(
        connection,
        "api_keys",
        id=key_id,
        tenant_id=seller.tenant_id,
        kind="METERING",
        role="ADMIN",
        prefix=token[:8],
        last_four=token[-4:],
        digest=hashlib.sha256(token.encode()).digest(),
        created_at=now,
    )
    return key_id
