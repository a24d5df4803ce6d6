"""Tenants with a thousand subscriptions between them, each paying for what METRICS names."""

import hashlib
import itertools
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import psycopg

from prices import BASE_FEE, METRICS, UNITS
from sql import insert

TENANTS = 8  # as many for each of one, two or four workers
SUBSCRIPTIONS = 1_000
WORKERS = 4  # at most, that share the tenants
MONTHS_BEHIND, MONTHS_AHEAD = 4, 2  # of periods: events are up to 85 days old


@dataclass(frozen=True)
class Seller:
    """One tenant: its keys, the names of its customers and what they use."""

    number: int
    tenant_id: UUID
    bucket: int
    key_id: UUID
    customers: tuple[str, ...]
    metrics: tuple[str, ...]

    @property
    def token(self) -> str:
        """The key that meters."""
        return f"sk_live_{self.number:040d}"

    @property
    def operator_token(self) -> str:
        """The key that operates the admin API."""
        return f"afo_live{self.number:040d}"


def create(
    connection: psycopg.Connection,
    *,
    now: datetime,
    tenants: int = TENANTS,
    metrics: int = 3,
    subscriptions: int = SUBSCRIPTIONS,
) -> list[Seller]:
    """Write the rows of all sellers, whose customers have subscribed since long before `now`."""
    chance, used = random.Random(tenants), METRICS[:metrics]
    sellers = [
        _seller(chance, number, range(number, subscriptions, tenants), used)
        for number in range(tenants)
    ]
    with connection.transaction(), connection.pipeline():
        for seller in sellers:
            _Writer(connection, chance, seller, now).write()
    return sellers


def months_around(now: datetime) -> list[datetime]:
    """The first days of the stored months around `now`."""
    this = now.year * 12 + now.month - 1
    numbers = range(this - MONTHS_BEHIND, this + MONTHS_AHEAD + 1)
    return [datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC) for number in numbers]


def _seller(chance: random.Random, number: int, others: range, metrics: tuple[str, ...]) -> Seller:
    """A tenant in the bucket that follows the last one's: workers get the same share each."""
    tenant_id = _uuid(chance)
    while _bucket(tenant_id) % WORKERS != number % WORKERS:
        tenant_id = _uuid(chance)
    customers = tuple(f"cus_{other:06d}" for other in others)
    return Seller(number, tenant_id, _bucket(tenant_id), _uuid(chance), customers, metrics)


def _bucket(tenant_id: UUID) -> int:
    return hashlib.blake2b(tenant_id.bytes, digest_size=1).digest()[0]


class _Writer:
    """Writes one seller: itself, its plan, and a subscription for each customer."""

    def __init__(
        self, connection: psycopg.Connection, chance: random.Random, seller: Seller, now: datetime
    ) -> None:
        self._connection = connection
        self._chance = chance
        self._seller = seller
        self._now = now

    def write(self) -> None:
        self._write_tenant()
        self._write_key("METERING", self._seller.token, self._seller.key_id)
        self._write_key("OPERATOR", self._seller.operator_token, _uuid(self._chance))
        entity_id = self._write_entity()
        offering_id, version_id = self._write_plan()
        months = months_around(self._now)
        for name in self._seller.customers:
            self._write_subscription(name, months, entity_id, offering_id, version_id)

    def _write_tenant(self) -> None:
        seller = self._seller
        insert(
            self._connection,
            "tenants",
            id=seller.tenant_id,
            name=f"Bench {seller.number}",
            slug=f"bench-{seller.number}",
            currency="USD",
            time_zone="UTC",
            unknown_metric="REJECT",
            late_policy="HOLD",
            settlement_delay="100 years",  # nobody bills while we measure
            catalog_version=1,
            hash_secret=self._chance.randbytes(32),
            created_at=self._now,
        )

    def _write_key(self, kind: str, token: str, key_id: UUID) -> None:
        self._insert(
            "api_keys",
            id=key_id,
            kind=kind,
            role="ADMIN",
            prefix=token[:8],
            last_four=token[-4:],
            digest=hashlib.sha256(token.encode()).digest(),
            created_at=self._now,
        )

    def _write_entity(self) -> UUID:
        return self._insert(
            "billing_entities",
            code="B",
            display_name="Bench",
            legal_name="Bench",
            currency="USD",
            time_zone="UTC",
            invoice_prefix="INV",
            next_invoice_number=1,
            is_default=True,
            created_at=self._now,
        )

    def _write_plan(self) -> tuple[UUID, UUID]:
        """One plan with a price for each unit, published, in one offering."""
        at = {"created_at": self._now}
        plan_id = self._insert("rate_plans", name="Plan", currency="USD", **at)
        version_id = self._insert(
            "rate_plan_versions",
            rate_plan_id=plan_id,
            number=1,
            status="DRAFT",
            base_fee=BASE_FEE,
            **at,
        )
        for metric in self._seller.metrics:
            self._write_unit(version_id, metric, *UNITS[metric])
        publish = "UPDATE rate_plan_versions SET status = 'PUBLISHED', published_at = created_at"
        self._connection.execute(f"{publish} WHERE id = %s", (version_id,))
        offering_id = self._insert(
            "offerings",
            code="plan",
            name="Plan",
            type="STANDALONE",
            status="ACTIVE",
            billing_mode="POSTPAID",
            currency="USD",
            **at,
        )
        self._insert("offering_plans", offering_id=offering_id, rate_plan_id=plan_id)
        return offering_id, version_id

    def _write_unit(
        self, version_id: UUID, name: str, aggregation: str, terms: dict[str, object]
    ) -> None:
        unit_id = self._insert(
            "billable_units",
            name=name,
            aggregation=aggregation,
            product_type="API",
            filter_conditions="[]",
            allowed_sources="[]",
            key_fields="[]",
            created_at=self._now,
        )
        self._insert(
            "unit_prices",
            version_id=version_id,
            unit_id=unit_id,
            terms=json.dumps(terms),
            timing="ARREARS",
        )

    def _write_subscription(
        self,
        name: str,
        months: Sequence[datetime],
        entity_id: UUID,
        offering_id: UUID,
        version_id: UUID,
    ) -> None:
        customer_id = self._insert(
            "customers", external_id=name, language="en", created_at=self._now
        )
        subscription_id = self._insert(
            "subscriptions",
            customer_id=customer_id,
            offering_id=offering_id,
            billing_entity_id=entity_id,
            state="ACTIVE",
            currency="USD",
            start_at=months[0],
            anchor_day=1,
            time_zone="UTC",
            created_at=self._now,
        )
        of_it = {"subscription_id": subscription_id}
        self._insert("subscription_plans", version_id=version_id, **of_it)
        for start, end in itertools.pairwise(months):
            self._insert(
                "subscription_periods", start_at=start, end_at=end, whole_start_at=start, **of_it
            )

    def _insert(self, table: str, **columns: object) -> UUID:
        """Write a row of the seller, with a new id unless one is given; the new one."""
        row_id = _uuid(self._chance)
        owned = {"id": row_id, "tenant_id": self._seller.tenant_id}
        insert(self._connection, table, **(owned | columns))
        return row_id


def _uuid(chance: random.Random) -> UUID:
    return UUID(int=chance.getrandbits(128))
