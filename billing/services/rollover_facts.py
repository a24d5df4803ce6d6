"""Rollover as facts: what earlier periods left over, and until when this one's rest lives on."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import islice
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Q, Sum
from django.db.models.functions import Coalesce

from aforo.money import EXACT, ZERO
from aforo.periods import periods_from
from billing.models import Invoice, RolloverGrant
from billing.pipeline import GrantFact
from catalog.models import SubscriptionPeriod
from catalog.services.periods import anchor_of

Owned = tuple[UUID, UUID, str]  # subscription, unit, dimension
_Row = tuple[UUID, UUID, UUID, str, str, datetime, Decimal, datetime, Decimal]


@dataclass(frozen=True, slots=True)
class _Rest:
    """A grant, where it comes from, and what is left of it."""

    fact: GrantFact
    source_start: datetime


class Grants:
    """What is left of the grants of some subscriptions."""

    def __init__(self, tenant_id: UUID, subscription_ids: Collection[UUID]) -> None:
        self._rests: defaultdict[Owned, list[_Rest]] = defaultdict(list)
        for row in _standing(tenant_id, subscription_ids):
            grant_id, owner, unit_id, dimension, zone, start, units, expires_at, used = row
            left = EXACT.subtract(units, used)
            if left > ZERO:
                local = ZoneInfo(zone)
                fact = GrantFact(
                    grant_id=grant_id,
                    period_start=start.astimezone(local),
                    units=left,
                    expires_at=expires_at.astimezone(local),
                )
                self._rests[owner, unit_id, dimension].append(_Rest(fact, start))

    def of(
        self, period: SubscriptionPeriod, unit_id: UUID, dimension: str, *, received: Decimal
    ) -> tuple[GrantFact, ...]:
        """Those that this period may use: of earlier ones, not expired; the oldest first.

        It has `received` units of them; what a cap kept back has lapsed, the oldest first.
        """
        rests: Sequence[_Rest] = self._rests.get((period.subscription_id, unit_id, dimension), ())
        found: list[GrantFact] = []
        for rest in sorted(rests, key=lambda one: (one.source_start, one.fact.grant_id))[::-1]:
            units = min(received, rest.fact.units)
            if units > ZERO and rest.source_start < period.start_at < rest.fact.expires_at:
                found.append(replace(rest.fact, units=units))
                received = EXACT.subtract(received, units)
        return tuple(reversed(found))


def _standing(tenant_id: UUID, subscription_ids: Collection[UUID]) -> Iterable[_Row]:
    """All grants of these subscriptions, with what standing invoices have used of each."""
    used = Sum("uses__units", filter=~Q(uses__invoice__status=Invoice.Status.VOID))
    rows: Iterable[_Row] = (
        RolloverGrant.objects.for_tenant(tenant_id)
        .filter(subscription_id__in=subscription_ids)
        .annotate(used=Coalesce(used, ZERO))
        .values_list(
            "id",
            "subscription_id",
            "unit_id",
            "dimension",
            "subscription__time_zone",
            "period__start_at",
            "units",
            "expires_at",
            "used",
        )
    )
    return rows


class Expiries:
    """Until when the rest of a period lives on: the end of the last period that may use it."""

    def __init__(self) -> None:
        self._known: dict[tuple[UUID, int], datetime] = {}

    def after(self, period: SubscriptionPeriod, count: int) -> datetime:
        """The end of the whole period that is `count` after this one, in its own time zone.

        The rest of a whole period that was cut is the first of them.
        """
        key = (period.pk, count)
        if key not in self._known:
            subscription = period.subscription
            turns = periods_from(period.end_at, anchor_of(subscription))
            end = next(islice(turns, count - 1, None)).end
            self._known[key] = end.astimezone(ZoneInfo(subscription.time_zone))
        return self._known[key]


def grants_of(tenant_id: UUID, periods: Collection[SubscriptionPeriod]) -> Grants:
    """The grants of the subscriptions of some periods, in one statement."""
    return Grants(tenant_id, {period.subscription_id for period in periods})
