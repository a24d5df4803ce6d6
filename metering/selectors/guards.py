"""Margin guards, and where customers stand with them."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from uuid import UUID

from aforo.tenancy.models import Tenant, TenantQuerySet
from metering.margin.arithmetic import Thresholds
from metering.margin.judging import Rule
from metering.models import CustomerTag, GuardDecision, MarginGuard, MarginState


def guards(*, tenant: Tenant) -> TenantQuerySet:
    """All guards of a tenant by code, archived ones too."""
    rows = MarginGuard.objects.for_tenant(tenant).select_related("unit", "rate_plan", "customer")
    return rows.prefetch_related("floors__rate_plan").order_by("code", "id")


def guards_in_force(tenant_id: UUID) -> TenantQuerySet:
    """Those that judge."""
    rows = MarginGuard.objects.for_tenant(tenant_id).filter(is_active=True, archived_at=None)
    return rows.select_related("unit").prefetch_related("floors").order_by("code", "id")


def has_guards(tenant_id: UUID) -> bool:
    """Whether anybody judges the tenant's customers."""
    rows = MarginGuard.objects.for_tenant(tenant_id).filter(is_active=True, archived_at=None)
    return bool(rows.exists())


def guarded_tenants() -> list[UUID]:
    """Tenants with guards, or with customers who are still held by one that is gone."""
    guarding = MarginGuard.objects.filter(is_active=True, archived_at=None)  # any tenant: a sweep
    held = MarginState.objects.exclude(level="NONE")  # any tenant: likewise
    ids = {*guarding.values_list("tenant_id", flat=True), *held.values_list("tenant_id", flat=True)}
    return sorted(ids)


def rule_of(guard: MarginGuard, floors: Mapping[UUID, object] | None = None) -> Rule:
    """A guard, stored or not, as the rule that customers are judged by."""
    return Rule(
        guard_id=guard.pk,
        unit_id=guard.unit_id,
        scope=guard.scope,
        thresholds=Thresholds(
            guard.warn_below, guard.throttle_below, guard.block_below, guard.cost_floor
        ),
        plan_id=guard.rate_plan_id,
        customer_id=guard.customer_id,
        cohort=guard.cohort,
        cohort_value=guard.cohort_value,
        floors=dict(floors or {}),  # type: ignore[arg-type]  # numbers, by plan
    )


def stored_rule(guard: MarginGuard) -> Rule:
    """The rule of a stored guard, with the floors of its segments."""
    return rule_of(guard, {floor.rate_plan_id: floor.percent for floor in guard.floors.all()})


def tags_of(
    tenant_id: UUID, customer_ids: Collection[UUID] | None = None
) -> Mapping[UUID, set[str]]:
    """The tags of customers, of some or of all."""
    rows = CustomerTag.objects.for_tenant(tenant_id)
    if customer_ids is not None:
        rows = rows.filter(customer_id__in=customer_ids)
    found: defaultdict[UUID, set[str]] = defaultdict(set)
    for customer_id, tag in rows.values_list("customer_id", "tag"):
        found[customer_id].add(tag)
    return found


def margin_states(*, tenant: Tenant) -> TenantQuerySet:
    """Where customers stand that a guard has ever held, the latest change first."""
    rows = MarginState.objects.for_tenant(tenant).select_related("guard__unit", "customer")
    return rows.order_by("-since", "-id")


def guard_decisions(*, tenant: Tenant) -> TenantQuerySet:
    """Decisions that were no plain yes, newest first: ids rise with time."""
    rows = GuardDecision.objects.for_tenant(tenant).select_related("guard__unit", "customer")
    return rows.order_by("-id")
