"""Features: made once, granted to rate plans, and to subscriptions otherwise than their plans say.

What is granted holds at once for everybody on the plan, whichever version they pay by.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from aforo.errors import NotFound
from aforo.money import plain
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from catalog.models import (
    BillableUnit,
    Feature,
    FeatureOverride,
    PlanFeature,
    RatePlan,
    Subscription,
)
from catalog.services import changes
from catalog.services.telling import tell

EDITABLE = frozenset({"name", "description"})
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,119}")


@dataclass(frozen=True, slots=True)
class Grant:
    """How much of a feature: a `limit` of a LIMIT (None: unlimited), the `value` of a VALUE."""

    limit: Decimal | None = None
    value: str = ""


@transaction.atomic
def create_feature(
    *,
    tenant: Tenant,
    actor: Actor,
    now: datetime,
    key: str,
    kind: str,
    name: str = "",
    description: str = "",
    unit: BillableUnit | None = None,
) -> Feature:
    """A new feature, which nobody has yet; a LIMIT is one of `unit`."""
    if not KEY.fullmatch(key):
        reason = "has 1 to 120 letters, digits and _ . : -, and begins with a letter or digit"
        raise changes.refused("key", "INVALID", reason)
    if (kind == Feature.Kind.LIMIT) != (unit is not None):
        reason = "a LIMIT names the billable unit that it limits, and nothing else does"
        raise changes.refused("metricId", "INVALID", reason)
    feature = Feature(
        tenant=tenant,
        key=key,
        kind=kind,
        name=name,
        description=description,
        unit=unit,
        created_at=now,
    )
    changes.require_own(tenant, *([unit] if unit else []))
    changes.require_valid(feature)
    taken = f"there is a feature '{key}' already"
    with changes.conflict_when("feature_key_is_taken_once", taken, field="key"):
        feature.save(force_insert=True)
    after = changes.state_of(feature, EDITABLE | {"key", "kind"})
    after["unit"] = unit.name if unit else None
    changes.record(feature, action="FEATURE_CREATED", actor=actor, now=now, after=after)
    return feature


@transaction.atomic
def edit_feature(
    *, feature: Feature, edits: Mapping[str, object], actor: Actor, now: datetime
) -> Feature:
    """Change its name or description; key, kind and unit never change."""
    rows = Feature.objects.for_tenant(feature.tenant_id).select_for_update(no_key=True)
    locked: Feature = rows.get(pk=feature.pk)
    changes.edit(locked, edits, editable=EDITABLE, action="FEATURE_UPDATED", actor=actor, now=now)
    return locked


@transaction.atomic
def archive_feature(*, feature: Feature, actor: Actor, now: datetime) -> Feature:
    """Take it from everybody at once; its key stays taken. Again changes nothing."""
    rows = Feature.objects.for_tenant(feature.tenant_id).select_for_update(no_key=True)
    locked: Feature = rows.get(pk=feature.pk)
    if locked.archived_at is None:
        locked.archived_at = now
        locked.save(update_fields=["archived_at"])
        after = {"archived_at": now}
        changes.record(locked, action="FEATURE_ARCHIVED", actor=actor, now=now, after=after)
        tell(locked.tenant_id, None)
    return locked


@transaction.atomic
def grant_to_plan(
    *, plan: RatePlan, feature: Feature, grant: Grant, actor: Actor, now: datetime
) -> PlanFeature:
    """Give everybody on `plan` a feature, or so much of it instead of what they have."""
    changes.require_own(plan.tenant_id, feature)
    _require_fitting(feature, grant)
    _lock(plan)
    rows = PlanFeature.objects.for_tenant(plan.tenant_id).filter(rate_plan=plan, feature=feature)
    row = rows.first()
    before = _told(row)
    if row is None:
        row = PlanFeature(tenant_id=plan.tenant_id, rate_plan=plan, feature=feature)
    row.limit, row.value = grant.limit, grant.value
    changes.require_valid(row)
    row.save()
    if before != _told(row):
        _record(plan, "PLAN_FEATURE_GRANTED", feature, before, _told(row), actor=actor, now=now)
    return row


@transaction.atomic
def take_from_plan(*, plan: RatePlan, feature: Feature, actor: Actor, now: datetime) -> None:
    """Take a feature from everybody on `plan`; one that it has not is no error."""
    _lock(plan)
    rows = PlanFeature.objects.for_tenant(plan.tenant_id).filter(rate_plan=plan, feature=feature)
    row = rows.first()
    if row is not None:
        before = _told(row)
        row.delete()
        _record(plan, "PLAN_FEATURE_TAKEN", feature, before, {}, actor=actor, now=now)


@transaction.atomic
def override(
    *,
    subscription: Subscription,
    feature: Feature,
    grant: Grant,
    actor: Actor,
    now: datetime,
    enabled: bool = True,
    expires_at: datetime | None = None,
    reason: str = "",
) -> FeatureOverride:
    """Say for one subscription what holds instead of its plans, until `expires_at` if that is set.

    A trial of a feature is one that expires.
    """
    changes.require_own(subscription.tenant_id, feature)
    _require_fitting(feature, grant)
    if expires_at is not None and expires_at <= now:
        raise changes.refused("expiresAt", "INVALID", "must lie ahead")
    _lock(subscription)
    row = _override_of(subscription, feature)
    before = _told(row)
    if row is None:
        row = FeatureOverride(
            tenant_id=subscription.tenant_id, subscription=subscription, feature=feature
        )
    row.enabled, row.limit, row.value = enabled, grant.limit, grant.value
    row.expires_at, row.reason = expires_at, reason
    row.actor_name, row.created_at = actor.name[:200], now
    changes.require_valid(row)
    row.save()
    _record(
        subscription,
        "FEATURE_OVERRIDDEN",
        feature,
        before,
        _told(row),
        actor=actor,
        now=now,
        reason=reason,
    )
    return row


@transaction.atomic
def end_override(
    *,
    subscription: Subscription,
    feature: Feature,
    actor: Actor,
    now: datetime,
    reason: str = "",
) -> None:
    """Let the plans say again what holds; NotFound when they do already."""
    _lock(subscription)
    row = _override_of(subscription, feature)
    if row is None:
        raise NotFound(f"subscription {subscription.pk} has no override of '{feature.key}'")
    before = _told(row)
    row.delete()
    _record(
        subscription,
        "FEATURE_OVERRIDE_ENDED",
        feature,
        before,
        {},
        actor=actor,
        now=now,
        reason=reason,
    )


def _override_of(subscription: Subscription, feature: Feature) -> FeatureOverride | None:
    rows = FeatureOverride.objects.for_tenant(subscription.tenant_id)
    row: FeatureOverride | None = rows.filter(subscription=subscription, feature=feature).first()
    return row


def _lock(row: RatePlan | Subscription) -> None:
    """Of two who grant at once, the second sees what the first has granted."""
    type(row).objects.for_tenant(row.tenant_id).select_for_update(no_key=True).get(pk=row.pk)


def _require_fitting(feature: Feature, grant: Grant) -> None:
    if feature.archived_at is not None:
        raise changes.refused("featureKey", "ARCHIVED", f"feature '{feature.key}' is archived")
    if grant.limit is not None and feature.kind != Feature.Kind.LIMIT:
        raise changes.refused("limit", "INVALID", f"'{feature.key}' is no LIMIT")
    if grant.limit is not None and grant.limit < 0:
        raise changes.refused("limit", "INVALID", "must not be negative")
    if bool(grant.value) != (feature.kind == Feature.Kind.VALUE):
        reason = "a VALUE has one, and nothing else does"
        raise changes.refused("value", "INVALID", reason)


def _told(row: PlanFeature | FeatureOverride | None) -> dict[str, object]:
    """What a grant says, as the audit log shows it."""
    if row is None:
        return {}
    told: dict[str, object] = {
        "limit": None if row.limit is None else plain(row.limit),
        "value": row.value,
        "granted": True,
    }
    if isinstance(row, FeatureOverride):
        told |= {"granted": row.enabled, "expires_at": row.expires_at}
    return told


def _record(
    row: RatePlan | Subscription,
    action: str,
    feature: Feature,
    before: dict[str, object],
    after: dict[str, object],
    *,
    actor: Actor,
    now: datetime,
    reason: str = "",
) -> None:
    """In the log of the plan or subscription, each member under the feature's key."""
    changes.record(
        row,
        action=action,
        actor=actor,
        now=now,
        before={f"{feature.key}.{name}": value for name, value in before.items()},
        after={f"{feature.key}.{name}": value for name, value in after.items()},
        reason=reason,
    )
    if isinstance(row, RatePlan):
        tell(row.tenant_id, None)  # whoever is on it
