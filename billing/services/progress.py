"""Invoices of usage so far: on demand, or when a subscription's usage is worth its threshold.

Each asks for the price of all usage of the running period, less what earlier ones have asked for;
the invoice of the period does the same. So, whatever the cuts, their sum is the single invoice.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import structlog
from django.db import transaction

from aforo.errors import Conflict, Refused
from aforo.money import ZERO
from aforo.tenancy import clock
from aforo.tenancy.models import Tenant
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from billing import pipeline
from billing.models import Invoice
from billing.pipeline import Facts, StageFailed
from billing.selectors.periods import running_periods
from billing.selectors.thresholds import subscriptions_over_threshold
from billing.services.copying import NewInvoice, write_drafts
from billing.services.drafting import Work, facts_of, in_order, note_replaced
from billing.services.grace import issue_or_wait
from catalog.models import Subscription, SubscriptionPeriod

log = structlog.get_logger(__name__)


@transaction.atomic
def invoice_now(*, subscription: Subscription, actor: Actor, now: datetime) -> Invoice:
    """Invoice what the running period's usage comes to so far, and was not asked for yet.

    Fees and minimums wait for the invoice of the period. Conflict when no period runs, Refused when
    there is nothing to ask for.
    """
    period = running_period(subscription, now=now)
    invoice = draft_progress(period, now=now)
    audit.record(
        tenant=subscription.tenant_id,
        actor=actor,
        action="INVOICE_MADE_NOW",
        target=invoice,
        now=now,
        changes={"total": str(invoice.total), "subscription": str(subscription.pk)},
    )
    return invoice


def running_period(subscription: Subscription, *, now: datetime) -> SubscriptionPeriod:
    """The period that `now` falls into, as the stages need it; Conflict when there is none."""
    running = running_periods(tenant_id=subscription.tenant_id, now=now)
    ids = running.filter(subscription=subscription).values_list("pk", flat=True)
    for period in in_order(list(ids), running):
        return period
    raise Conflict(
        "no period of the subscription runs that costs something and is not billed yet",
        code="NO_RUNNING_PERIOD",
    )


def draft_progress(
    period: SubscriptionPeriod,
    *,
    now: datetime,
    final: bool = True,
    ids: Mapping[UUID, UUID] | None = None,
    replaces: Mapping[UUID, UUID] | None = None,
) -> Invoice:
    """Write the invoice of usage so far, and issue it when it is to be `final`.

    Watermarks stay: the period runs on. Its totals are locked, so of two callers at once the second
    finds what the first has asked for. Refused when nothing is left to ask for.
    """
    work = Work(
        tenant_id=period.tenant_id,
        periods=[period],
        auto_finalize=final,
        ids=ids or {},
        replaces=replaces or {},
    )
    facts = so_far(facts_of(work, now=now)[period.id], now=now)
    new = NewInvoice.of(period, facts, pipeline.run(facts), kind=Invoice.Kind.PROGRESS)
    if new.result.draft.total() <= ZERO:
        raise Refused("no usage is left to ask for", code="NOTHING_TO_INVOICE")
    new = replace(new, id=work.ids.get(period.id, new.id))
    write_drafts([new], run_id=None, created_at=now)
    note_replaced([new], work.replaces)
    issue_or_wait([new], now=now)
    made: Invoice = Invoice.objects.for_tenant(period.tenant_id).get(pk=new.id)
    return made


def so_far(facts: Facts, *, now: datetime) -> Facts:
    """Facts of the usage of a running period alone.

    Fees and minimums are left out, maximums and discounts are not: without them an invoice of usage
    so far could ask for more than the invoice of the whole period will. So it could without what
    is given back of a fee in advance that a cancellation, set for later, leaves unused.
    """
    contract = facts.contract
    if contract is not None:
        contract = replace(contract, minimum_spend=None, term_minimum=ZERO, ends_term=False)
    return replace(
        facts,
        plans=tuple(
            replace(plan, base_fee=ZERO, setup_fee=ZERO, minimum_spend=ZERO) for plan in facts.plans
        ),
        contract=contract,
        period_end=now,
        late=(),
        unreturned=(),
        advance=None,
        is_first=False,
    )


def invoice_thresholds(*, now: datetime) -> int:
    """Invoice the usage of every subscription that has reached its threshold; how many were made.

    Each in a transaction of its own; one that cannot be priced is logged and left for later.
    """
    return sum(
        _invoice_over_threshold(tenant, subscription_id, clock.at(tenant, now))
        for tenant in Tenant.objects.order_by("pk")
        for subscription_id in subscriptions_over_threshold(tenant, clock.at(tenant, now))
    )


def _invoice_over_threshold(tenant: Tenant, subscription_id: UUID, now: datetime) -> bool:
    subscription = Subscription.objects.for_tenant(tenant).get(pk=subscription_id)
    try:
        invoice_now(subscription=subscription, actor=Actor.system("invoice_thresholds"), now=now)
    except (Conflict, Refused) as error:
        log.info("nothing_over_threshold", subscription=str(subscription_id), code=error.code)
        return False
    except StageFailed as error:
        log.warning("threshold_not_invoiced", subscription=str(subscription_id), exc_info=error)
        return False
    return True
