"""Terms of contracts that are over, and whose minimum no invoice could ask for in time.

The last period of a term asks for what is missing. Of a subscription that was paused then there is
none: its last one had ended, and was billed, before anybody knew that nothing would follow.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from aforo.money import EXACT, ZERO, round_to_minor
from billing.models import Invoice, InvoiceLine
from catalog.models import Contract, SubscriptionPeriod

SPENT = ("Rate", "Commit")
"""The stages whose lines count towards a minimum: before discounts and tax."""

SINCE = Coalesce(F("covers_start_at"), F("period_start_at"), F("invoice__period__start_at"))
"""The start of the period that a line counts in: a fee in advance in the one that it pays for."""

_CONTRACT = "contract_phase__contract"
_IN_FORCE = (Contract.Status.ACTIVE, Contract.Status.ENDED)


def lines_spent(tenant_id: UUID) -> QuerySet[InvoiceLine]:
    """Lines of standing invoices that count towards a term; usage so far does with its period."""
    rows: QuerySet[InvoiceLine] = InvoiceLine.objects.for_tenant(tenant_id).filter(
        Q(covers_start_at__isnull=False) | ~Q(invoice__kind=Invoice.Kind.PROGRESS),
        stage__in=SPENT,
    )
    return rows.exclude(invoice__status=Invoice.Status.VOID)


def periods_owing_terms(tenant_id: UUID, until: datetime) -> Sequence[UUID]:
    """Ids of billed periods, the last of a term that is over, whose minimum is not asked for.

    The term is over at its end, or with the subscription. One statement.
    """
    periods = SubscriptionPeriod.objects.for_tenant(tenant_id)
    later = periods.filter(
        subscription=OuterRef("subscription"),
        start_at__gt=OuterRef("start_at"),
        start_at__lt=OuterRef(f"{_CONTRACT}__end_at"),
    )
    billed = Invoice.objects.for_tenant(tenant_id).filter(
        period=OuterRef("pk"), kind=Invoice.Kind.PERIOD
    )
    rows = (
        periods.filter(
            Q(**{f"{_CONTRACT}__end_at__lte": until}) | Q(subscription__end_at__lte=until),
            Q(subscription__end_at=None) | Q(subscription__end_at__gt=F("end_at")),
            Exists(billed.exclude(status=Invoice.Status.VOID)),
            ~Exists(later),
            **{
                f"{_CONTRACT}__status__in": _IN_FORCE,
                f"{_CONTRACT}__minimum_spend__gt": ZERO,
                f"{_CONTRACT}__end_at__gt": F("end_at"),
            },
        )
        .annotate(spent=Coalesce(_spent(tenant_id), ZERO))
        .filter(**{f"{_CONTRACT}__minimum_spend__gt": F("spent")})
        .values_list("pk", "spent", f"{_CONTRACT}__minimum_spend", f"{_CONTRACT}__currency")
    )
    return [
        period_id
        for period_id, spent, minimum, currency in rows
        if _is_owed(EXACT.subtract(minimum, spent), currency)
    ]


def _spent(tenant_id: UUID) -> Subquery:
    """What the subscription of a period was asked for in the term, up to that period."""
    rows = lines_spent(tenant_id).annotate(since=SINCE)
    rows = rows.filter(
        invoice__subscription=OuterRef("subscription"),
        since__gte=OuterRef(f"{_CONTRACT}__start_at"),
        since__lte=OuterRef("start_at"),
    )
    grouped = rows.order_by().values("invoice__subscription").annotate(asked=Sum("amount"))
    return Subquery(grouped.values("asked"))


def _is_owed(missing: Decimal, currency: str) -> bool:
    """Less than half a minor unit short is met."""
    return round_to_minor(missing, currency) > ZERO
