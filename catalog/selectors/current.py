"""What holds now: the version that new subscriptions get, the entity that invoices."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import (
    DateTimeField,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    Max,
    OuterRef,
    QuerySet,
    Value,
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
    running_clock = Value(now, output_field=DateTimeField()) + F("clock_offset")
    until = ExpressionWrapper(
        Coalesce(F("clock_frozen_at"), running_clock) + Value(ahead, output_field=DurationField()),
        output_field=DateTimeField(),
    )
    short = _uncovered(
        Subscription.objects.filter(tenant=OuterRef("pk")),  # any tenant: each its own
        OuterRef("until"),
        OuterRef(OuterRef("until")),
    )
    tenants = Tenant.objects.annotate(until=until).filter(Exists(short)).order_by("pk")
    return dict(tenants.values_list("pk", "until"))


def _uncovered(
    subscriptions: QuerySet[Subscription], until: Combinable, until_from_within: Combinable
) -> QuerySet[Subscription]:
    """Those that run and whose periods reach neither `until` nor their own end."""
    reached = SubscriptionPeriod.objects.filter(  # any tenant: of the subscription
        subscription=OuterRef("pk"),
        # LEAST of PostgreSQL passes over null, an open end
        end_at__gte=Least(until_from_within, OuterRef("end_at")),
    )
    running = subscriptions.filter(state=Subscription.State.ACTIVE, start_at__lt=until)
    return running.filter(~Exists(reached))


def last_period_ends(subscription_ids: Collection[UUID]) -> dict[UUID, datetime]:
    """How far the stored periods of each subscription reach; absent when it has none."""
    periods = SubscriptionPeriod.objects.filter(  # any tenant: by ids of our own
        subscription_id__in=subscription_ids
    )
    ends = periods.order_by().values("subscription_id").annotate(reached=Max(F("end_at")))
    return dict(ends.values_list("subscription_id", "reached"))
