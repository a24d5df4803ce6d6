"""What holds now: the version that new subscriptions get, the entity that invoices."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import (
    Case,
    DateTimeField,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    Max,
    OuterRef,
    Q,
    QuerySet,
    Value,
    When,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, Least

from aforo.tenancy.models import Tenant
from catalog.models import (
    BillingEntity,
    RatePlan,
    RatePlanVersion,
    Subscription,
    SubscriptionPeriod,
)

EXPIRES_SOON = timedelta(days=30)  # so long before its end a subscription is said to expire
_SOON = Value(EXPIRES_SOON, output_field=DurationField())


def default_entity(tenant: Tenant) -> BillingEntity | None:
    """The entity that invoices unless another is named; None before there is one."""
    return BillingEntity.objects.for_tenant(tenant).filter(is_default=True).first()


def latest_published(plan: RatePlan) -> RatePlanVersion | None:
    """The version that new subscriptions are pinned to; None before the first publication."""
    published = RatePlanVersion.objects.for_tenant(plan.tenant_id).filter(
        rate_plan=plan, status=RatePlanVersion.Status.PUBLISHED
    )
    return published.order_by("-number").first()


def draft_of(plan: RatePlan) -> RatePlanVersion | None:
    """The version that is being written, if one is."""
    drafts = RatePlanVersion.objects.for_tenant(plan.tenant_id)
    return drafts.filter(rate_plan=plan, status=RatePlanVersion.Status.DRAFT).first()


def uncovered_subscriptions(tenant_id: UUID, until: datetime) -> QuerySet[Subscription]:
    """Running subscriptions of a tenant whose stored periods do not reach `until`."""
    moment = Value(until, output_field=DateTimeField())
    return _uncovered(Subscription.objects.for_tenant(tenant_id), moment, moment)


def reach_of_clocks(now: datetime, ahead: timedelta) -> dict[UUID, datetime]:
    """How far the periods of each tenant must reach, `ahead` of its own clock.

    In one statement for all tenants, and only of those where some subscription falls short.
    """
    until = _clock(now, ahead)
    short = _uncovered(
        Subscription.objects.filter(tenant=OuterRef("pk")),  # any tenant: each its own
        OuterRef("until"),
        OuterRef(OuterRef("until")),
    )
    tenants = Tenant.objects.annotate(until=until).filter(Exists(short)).order_by("pk")
    return dict(tenants.values_list("pk", "until"))


def subscriptions_due(tenant_id: UUID, now: datetime) -> QuerySet[Subscription]:
    """Those of a tenant for which something takes effect by `now`: a start, an end, a change."""
    moment = Value(now, output_field=DateTimeField())
    return Subscription.objects.for_tenant(tenant_id).filter(_due(moment, moment + _SOON))


def clocks_with_due_subscriptions(now: datetime) -> dict[UUID, datetime]:
    """The time of each tenant for whose subscriptions something takes effect, in one statement."""
    due = Subscription.objects.filter(  # any tenant: each its own
        _due(OuterRef("clock"), OuterRef("soon")), tenant=OuterRef("pk")
    )
    clocks = Tenant.objects.annotate(
        clock=_clock(now, timedelta(0)), soon=_clock(now, EXPIRES_SOON)
    )
    return dict(clocks.filter(Exists(due)).order_by("pk").values_list("pk", "clock"))


def _due(now: Combinable, soon: Combinable) -> Q:
    state = Subscription.State
    return (
        Q(state=state.CREATED, start_at__lte=now)
        | Q(state=state.TRIALING, trial_end_at__lte=now)
        | Q(state=state.ACTIVE, end_at__lte=soon)
        | Q(end_at__lte=now) & ~Q(state__in=Subscription.OVER)
        | Q(next_offering_at__lte=now)
    )


def _clock(now: datetime, ahead: timedelta) -> Combinable:
    """What the clock of a tenant will show `ahead` of when everybody's shows `now`."""
    running_clock = Value(now, output_field=DateTimeField()) + F("clock_offset")
    return ExpressionWrapper(
        Coalesce(F("clock_frozen_at"), running_clock) + Value(ahead, output_field=DurationField()),
        output_field=DateTimeField(),
    )


def _uncovered(
    subscriptions: QuerySet[Subscription], until: Combinable, until_from_within: Combinable
) -> QuerySet[Subscription]:
    """Those that run and whose periods reach neither `until` nor their own end."""
    unpaid_from = Case(When(auto_convert=False, then=F("trial_end_at")))
    reached = SubscriptionPeriod.objects.filter(  # any tenant: of the subscription
        subscription=OuterRef("pk"),
        # LEAST of PostgreSQL passes over null, an open end
        end_at__gte=Least(until_from_within, OuterRef("end_at"), OuterRef("unpaid_from")),
    )
    running = subscriptions.filter(state__in=Subscription.RUNNING, start_at__lt=until)
    return running.annotate(unpaid_from=unpaid_from).filter(~Exists(reached))


def last_period_ends(subscription_ids: Collection[UUID]) -> dict[UUID, datetime]:
    """How far the stored periods of each subscription reach; absent when it has none."""
    periods = SubscriptionPeriod.objects.filter(  # any tenant: by ids of our own
        subscription_id__in=subscription_ids
    )
    ends = periods.order_by().values("subscription_id").annotate(reached=Max(F("end_at")))
    return dict(ends.values_list("subscription_id", "reached"))
