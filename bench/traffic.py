"""Seeded usage: batches of a hundred events, some of them late, some of them repeats."""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import lz4.frame
import psycopg

from sellers import Seller

BATCH = 100
OLD = 0.05  # the share of events spread over DAYS; the others lie in the last hour
DAYS = 85
REPEATED = 0.02  # the share of events that came before, from the same tenant
REMEMBERED = 2_000  # events of a tenant that repeats are drawn from
_COLUMNS = (
    "batch_id, tenant_id, bucket, api_key_id, source, received_at, arrived_at, event_count, body"
)


_KEY_OF_BODY = 2_654_435_761  # odd: multiplied by it, numbers below 2^32 stay apart


@dataclass(frozen=True)
class Body:
    """One request: who sends it, the JSON array, and how many of its events are not repeats.

    Its own keys begin with `stamp`, which no other body has.
    """

    seller: Seller
    array: bytes
    count: int
    fresh: int
    stamp: bytes

    def again(self, number: int) -> "Body":
        """The same body with new keys, at a hundredth of the cost of a new one."""
        stamp = _stamp(number)
        return replace(self, array=self.array.replace(self.stamp, stamp), stamp=stamp)


def without_end(bodies: Sequence[Body]) -> Iterator[Body]:
    """These bodies, then the same with new keys, over and over."""
    yield from bodies
    for number in itertools.count(len(bodies)):
        yield bodies[number % len(bodies)].again(number)


def _stamp(number: int) -> bytes:
    """The first eight of the 32 digits of a key."""
    return b"%08x" % (number * _KEY_OF_BODY % 2**32)


Span = tuple[datetime, datetime]


class Traffic:
    """An endless stream of bodies, seller by seller, the same for the same seed.

    Events happened mostly within the last hour; with `span`, at any time within that.
    """

    def __init__(
        self, sellers: Sequence[Seller], *, seed: int, now: datetime, span: Span | None = None
    ) -> None:
        self._sellers = sellers
        self._chance = random.Random(seed)
        self._now = now
        self._span = span
        self._sent: dict[UUID, list[str]] = {seller.tenant_id: [] for seller in sellers}
        self._number = 0

    def bodies(self, events: int, *, batch: int = BATCH) -> list[Body]:
        return [self._body(batch) for _ in range(events // batch)]

    def _body(self, count: int) -> Body:
        seller, stamp = self._sellers[self._number % len(self._sellers)], _stamp(self._number)
        self._number += 1
        sent, chance = self._sent[seller.tenant_id], self._chance
        events, fresh = [], 0
        for _ in range(count):
            if sent and chance.random() < REPEATED:
                events.append(chance.choice(sent))
                continue
            event = self._event(seller, stamp.decode())
            fresh += 1
            events.append(event)
            if len(sent) < REMEMBERED:
                sent.append(event)
            elif chance.random() < REPEATED:
                sent[chance.randrange(REMEMBERED)] = event
        return Body(seller, f"[{','.join(events)}]".encode(), count, fresh, stamp)

    def _event(self, seller: Seller, stamp: str) -> str:
        chance, occurred = self._chance, self._moment()
        return (
            f'{{"idempotencyKey":"{stamp}{str(UUID(int=chance.getrandbits(128)))[8:]}",'
            f'"customerId":"{chance.choice(seller.customers)}",'
            f'"metricName":"{chance.choice(seller.metrics)}",'
            f'"quantity":{chance.random() * 1000:.3f},'
            f'"occurredAt":"{occurred.isoformat()}",'
            '"metadata":{"region":"eu-west-1","model":"gpt-large","path":"/v1/chat","status":200}}'
        )

    def _moment(self) -> datetime:
        chance = self._chance
        if self._span:
            start, end = self._span
            return start + (end - start) * chance.random()
        reach = timedelta(days=DAYS) if chance.random() < OLD else timedelta(hours=1)
        return self._now - reach * chance.random()


def fill_inbox(connection: psycopg.Connection, bodies: Sequence[Body]) -> int:
    """Put bodies into the inbox as the door would; the number of events."""
    with connection.cursor() as cursor:
        with cursor.copy(f"COPY inbox_batches ({_COLUMNS}) FROM STDIN") as copy:
            for row in _inbox_rows(bodies):
                copy.write_row(row)
        cursor.execute("VACUUM ANALYZE inbox_batches")
    return sum(body.count for body in bodies)


def _inbox_rows(bodies: Sequence[Body]) -> Iterator[tuple[object, ...]]:
    chance = random.Random(bodies[0].array)
    for body in bodies:
        now, seller = datetime.now(UTC), body.seller
        yield (
            UUID(int=chance.getrandbits(128)),
            seller.tenant_id,
            seller.bucket,
            seller.key_id,
            "API",
            now,
            now,
            body.count,
            lz4.frame.compress(body.array),
        )
