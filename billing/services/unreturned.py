"""What was paid in advance and not used, and what no invoice had room to give back yet."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Exists, F, OuterRef, QuerySet, Sum
from django.db.models.functions import Coalesce

from aforo.money import EXACT, ZERO
from billing.models import Invoice, InvoiceLine
from billing.pipeline import PaidFact
from billing.services.advances import Asked, fees_of, paid_facts
from billing.services.contracts import contracts_for
from catalog.models import SubscriptionPeriod

_Key = tuple[UUID, datetime, UUID | None, UUID | None]
"""Subscription, start of what was paid for, plan version, unit."""


def unreturned_facts(
    tenant_id: UUID, subscription_ids: Collection[UUID], asked: Asked
) -> Mapping[UUID, Sequence[PaidFact]]:
    """By subscription, unused fees of billed periods that were cut, and that nobody gave back yet.

    The oldest first. One statement where no period with a fee in advance was cut, nine otherwise.
    """
    cut = [one for one in _billed_cuts(tenant_id, subscription_ids) if _is_paid_beyond(one, asked)]
    if not cut:
        return {}
    contracts = contracts_for(tenant_id, cut)
    given = _given_back(tenant_id, subscription_ids)
    found: defaultdict[UUID, list[PaidFact]] = defaultdict(list)
    for period in cut:
        paid = paid_facts(period, fees_of(contracts[period.pk]), asked)
        found[period.subscription_id] += _rests(period, paid, given)
    return found


def _rests(
    period: SubscriptionPeriod, paid: Sequence[PaidFact], given: Mapping[_Key, Decimal]
) -> Iterator[PaidFact]:
    for one in paid:
        key = (period.subscription_id, period.start_at, one.fee.version_id, one.fee.unit_id)
        before = given.get(key, ZERO)
        if one.unused.of(one.amount) > before:
            yield replace(one, given_back=before, covers=(period.start_at, period.end_at))


def _billed_cuts(
    tenant_id: UUID, subscription_ids: Collection[UUID]
) -> QuerySet[SubscriptionPeriod]:
    billed = Invoice.objects.for_tenant(tenant_id).filter(
        period=OuterRef("pk"), kind=Invoice.Kind.PERIOD
    )
    rows: QuerySet[SubscriptionPeriod] = SubscriptionPeriod.objects.for_tenant(tenant_id)
    return (
        rows.filter(
            Exists(billed.exclude(status=Invoice.Status.VOID)),
            subscription_id__in=subscription_ids,
            whole_end_at__isnull=False,
        )
        .select_related("subscription")
        .order_by("start_at", "pk")
    )


def _is_paid_beyond(period: SubscriptionPeriod, asked: Asked) -> bool:
    lines = asked.get((period.subscription_id, period.start_at), ())
    return any(line.covers_end_at and line.covers_end_at > period.end_at for line in lines)


def _given_back(tenant_id: UUID, subscription_ids: Collection[UUID]) -> Mapping[_Key, Decimal]:
    """What standing invoices gave back of each fee: its own period's, or later ones that say so.

    What one of usage so far gives back, the invoice of its period gives back itself.
    """
    rows = (
        InvoiceLine.objects.for_tenant(tenant_id)
        .filter(invoice__subscription_id__in=subscription_ids, type=InvoiceLine.Type.PRORATION)
        .exclude(invoice__status=Invoice.Status.VOID)
        .exclude(invoice__kind=Invoice.Kind.PROGRESS)
        .annotate(since=Coalesce(F("covers_start_at"), F("invoice__period__start_at")))
        .values_list("invoice__subscription_id", "since", "version_id", "unit_id")
        .annotate(given=Sum("exact_amount"))
        .order_by()
    )
    return {(owner, *rest): EXACT.minus(given) for owner, *rest, given in rows}
