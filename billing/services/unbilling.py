"""Taking back what an invoice has done besides being written: watermarks, used units, coupons."""

import json
from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q

from aforo.errors import Conflict
from billing.models import BillRunEventIndex, CouponUse, Invoice, RolloverGrant, RolloverUse
from billing.replayed_usage import Counting, UsageAt
from billing.services.locking import lock_for_billing
from catalog.models import BillableUnit
from catalog.pricing import parse_terms, parts_to_json
from metering.selectors.corrections import taken_back
from metering.selectors.events import events_of_span
from metering.services.passing_on import take_units_back
from metering.services.watermark_returns import (
    LateSpan,
    lock_totals_from,
    unbill_period,
    unbill_spans,
)
from metering.services.watermarks import keep_dimensions, late_totals_of

_STAMPING = (Invoice.Kind.PERIOD, Invoice.Kind.ADJUSTMENT)


def unbill(invoice: Invoice, *, now: datetime) -> None:
    """Make what a locked invoice billed unbilled again: as if it had never been drafted.

    Conflict when a later invoice of the subscription has built on it: on its watermarks, on the
    units that it rolled over, on the fees that it asked for in advance. Then that one goes first.
    """
    lock_to_unbill([invoice])
    spans = _spans([invoice])
    require_last(invoice)
    if invoice.kind in _STAMPING:
        if invoice.kind == Invoice.Kind.PERIOD and invoice.period_id is not None:
            take_units_back(tenant_id=invoice.tenant_id, period_id=invoice.period_id, now=now)
            unbill_period(invoice.period_id)
        unbill_spans([_late_span(one) for one in spans if one.line.is_adjustment])
    RolloverUse.objects.for_tenant(invoice.tenant_id).filter(invoice=invoice).delete()
    CouponUse.objects.for_tenant(invoice.tenant_id).filter(invoice=invoice).delete()


def forget_grants(invoice: Invoice) -> None:
    """Take back what the period of an unbilled invoice left over: it is about to be said anew.

    Until then it stays: units are left over whether or not anybody is asked to pay for the others.
    """
    if invoice.kind == Invoice.Kind.PERIOD:
        grants = RolloverGrant.objects.for_tenant(invoice.tenant_id)
        grants.filter(period=invoice.period_id).delete()


def lock_to_unbill(invoices: Sequence[Invoice]) -> None:
    """As whoever bills their subscriptions does, and in the same order; of parts all at once.

    Nor can a drain make a total of another dimension meanwhile, which the watermark that is taken
    away would call late. Again, for one of them, waits for nobody.
    """
    billed = [one for one in invoices if one.subscription_id and one.period_id]
    if not billed:
        return
    tenant_id = billed[0].tenant_id
    owners = {one.subscription_id for one in billed if one.subscription_id}
    lock_for_billing(tenant_id, owners)
    period_ids = {one.period_id for one in billed if one.period_id}
    keep_dimensions(period_ids)
    more_ids = {span.running_total_id for span in _spans(billed)}
    more_ids |= set(late_totals_of(tenant_id, owners))  # if they are billed again
    lock_totals_from(tenant_id=tenant_id, period_ids=period_ids, more_ids=more_ids)


def _spans(invoices: Sequence[Invoice]) -> Sequence[BillRunEventIndex]:
    spans = BillRunEventIndex.objects.for_tenant(invoices[0].tenant_id)
    return list(spans.filter(line__invoice__in=invoices).select_related("line"))


def require_last(invoice: Invoice) -> None:
    """Conflict when an invoice of the subscription stands that was made after this one."""
    if invoice.period is None:
        return
    later = (
        Invoice.objects.for_tenant(invoice.tenant_id)
        .filter(
            Q(period__start_at__gt=invoice.period.start_at) | _made_after(invoice),
            subscription=invoice.subscription_id,
        )
        .exclude(status=Invoice.Status.VOID)
        .order_by("period__start_at", "created_at", "pk")
        .last()
    )
    if later is not None:
        raise Conflict(
            f"invoice {later} has built on {invoice}: void that one first, then this",
            code="INVOICE_BUILT_UPON",
        )


def _made_after(invoice: Invoice) -> Q:
    """Of the same period. An opening builds on nothing of it, also one that was made anew."""
    made = Q(created_at__gt=invoice.created_at) | Q(
        created_at=invoice.created_at, pk__gt=invoice.pk
    )
    same = Q(period=invoice.period_id) & made
    return same if invoice.kind == Invoice.Kind.OPENING else same & ~Q(kind=Invoice.Kind.OPENING)


def _late_span(span: BillRunEventIndex) -> LateSpan:
    return LateSpan(
        running_total_id=span.running_total_id,
        first_position=span.first_position,
        quantity=span.quantity,
        event_count=span.event_count,
        revenue=span.revenue,
        state=_state_before(span),
    )


def _state_before(span: BillRunEventIndex) -> str | None:
    """What the total remembered of single events when the span began; None where nothing counts.

    Told from the events, since the watermark keeps the last state alone. Conflict without them.
    """
    terms = parse_terms(span.line.terms or {})
    if not terms.keeps_parts:
        return None
    total_id, at = span.running_total_id, span.first_position - 1
    unit = BillableUnit.objects.for_tenant(span.tenant_id).get(pk=span.line.unit_id)
    counting = Counting(unit=unit, terms=terms, adjusts=True)
    usage = UsageAt(counting, taken_back([total_id]).get(total_id, {}), at=at)
    seen = 0
    for event in events_of_span(total_id, 1, at):
        usage.add(event)
        seen += 1
    if seen != at:
        raise Conflict("the events that were billed before are archived", code="EVENTS_ARCHIVED")
    return json.dumps({"parts": parts_to_json(usage.usage.parts)})
