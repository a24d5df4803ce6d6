"""Drafting: from stored periods to drafts in the database, in one transaction, set by set."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from billing import pipeline
from billing.models import Invoice
from billing.pipeline import Facts
from billing.selectors.progress import earlier_facts
from billing.services.advances import next_periods
from billing.services.contracts import contracts_for
from billing.services.copying import NewInvoice, write_drafts
from billing.services.facts import facts_for
from billing.services.usage_facts import lock_usage, moves_of
from catalog.models import SubscriptionPeriod
from metering.ingest.connection import hot_cursor
from metering.services.watermarks import defer_late, stamp_billed

_REPLACING = """
    UPDATE invoices SET replaces_id = r.old
    FROM unnest(%s::uuid[], %s::uuid[]) AS r (id, old) WHERE invoices.id = r.id
"""


@dataclass(frozen=True, slots=True)
class Work:
    """What is drafted together: periods of one tenant, in the order of their numbers.

    `adjusted` are billed already: all that is left to bill with them is late usage. An invoice
    gets its id from `ids` and replaces the void one of `replaces`, each by the period's id.
    """

    tenant_id: UUID
    periods: Sequence[SubscriptionPeriod]
    auto_finalize: bool
    run_id: UUID | None = None
    adjusted: Sequence[SubscriptionPeriod] = ()
    ids: Mapping[UUID, UUID] = field(default_factory=dict)
    replaces: Mapping[UUID, UUID] = field(default_factory=dict)


def draft_invoices(work: Work, *, now: datetime) -> list[NewInvoice]:
    """Price what `work` names, stamp how far it is billed, write the drafts.

    The first invoice of a subscription also bills what its earlier periods took since they were
    billed. Totals stay locked until the caller's transaction ends. Raises StageFailed for the first
    period that cannot be billed.
    """
    facts = facts_of(work, now=now)
    results = {period_id: pipeline.run(one) for period_id, one in facts.items()}
    invoices = [NewInvoice.of(one, facts[one.id], results[one.id]) for one in work.periods]
    invoices += [
        NewInvoice.of(one, facts[one.id], results[one.id], kind=Invoice.Kind.ADJUSTMENT)
        for one in work.adjusted
        if results[one.id].draft.lines
    ]
    invoices = [replace(one, id=work.ids.get(one.period.id, one.id)) for one in invoices]
    stamp_billed([total_id for one in invoices for total_id in one.billed_total_ids])
    defer_late([one for result in results.values() for one in result.draft.deferred], now=now)
    write_drafts(invoices, run_id=work.run_id, created_at=now)
    note_replaced(invoices, work.replaces)
    return invoices


def waves(work: Work) -> Iterator[Work]:
    """The same work, cut so that no subscription has two periods in one: each builds on the last.

    Nearly always one wave; none when there is nothing to do.
    """
    left, adjusted = list(work.periods), work.adjusted
    while left or adjusted:
        firsts: dict[UUID, SubscriptionPeriod] = {}
        for period in sorted(left, key=lambda one: one.start_at):
            firsts.setdefault(period.subscription_id, period)
        taken = {period.pk for period in firsts.values()}
        wave = [period for period in left if period.pk in taken]
        yield replace(work, periods=wave, adjusted=adjusted)
        left, adjusted = [period for period in left if period.pk not in taken], ()


def hold(work: Work) -> None:
    """Make and lock at once, in one order, what all waves of `work` will: before the first of them.

    A second wave would lock what is older than what the first holds, and could meet another run
    that came the other way. Of a single wave, its own statements do that.
    """
    subscription_ids = {period.subscription_id for period in work.periods}
    if len(subscription_ids) == len(work.periods):
        return
    following = next_periods(work.tenant_id, work.periods)
    contracts = contracts_for(work.tenant_id, [*work.periods, *following.values()])
    moves = list(moves_of(work.periods, contracts=contracts, following=following))
    lock_usage(work.tenant_id, work.periods, work.adjusted, moves=moves, contracts=contracts)


def place_of(new: NewInvoice) -> tuple[str, datetime, UUID]:
    """Where a new invoice comes among those that are numbered together."""
    return new.period.subscription.customer.external_id, new.facts.period_end, new.period.pk


def facts_of(work: Work, *, now: datetime, with_usage: bool = True) -> dict[UUID, Facts]:
    """The facts of each period by its id, with what invoices of usage so far have asked for."""
    facts = facts_for(
        tenant_id=work.tenant_id,
        periods=work.periods,
        auto_finalize=work.auto_finalize,
        adjusted=work.adjusted,
        with_usage=with_usage,
        now=now,
    )
    earlier = earlier_facts(
        tenant_id=work.tenant_id, period_ids=[period.id for period in work.periods]
    )
    for period_id, asked in earlier.items():
        facts[period_id] = replace(facts[period_id], earlier=asked)
    return facts


def note_replaced(invoices: Sequence[NewInvoice], replaces: Mapping[UUID, UUID]) -> None:
    """Say of new drafts which void invoice each was made instead of."""
    pairs = [(one.id, replaces[one.period.id]) for one in invoices if one.period.id in replaces]
    if pairs:
        with hot_cursor() as cursor:
            cursor.execute(_REPLACING, tuple(map(list, zip(*pairs, strict=True))))


def in_order(
    period_ids: Collection[UUID], periods: QuerySet[SubscriptionPeriod]
) -> Sequence[SubscriptionPeriod]:
    """Those of `periods` that are named, as the stages need them, in the order of their numbers."""
    return list(
        periods.filter(id__in=period_ids)
        .select_related(
            "subscription__offering", "subscription__customer", "subscription__billing_entity"
        )
        .order_by("subscription__customer__external_id", "end_at", "id")
    )
