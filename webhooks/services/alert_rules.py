"""Alert rules and the wishes of customers: made, changed and removed, on the record."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.db import transaction

from aforo.errors import Refused
from aforo.ids import new_id
from aforo.outbox.facts import facts
from aforo.spelling import on_the_wire
from aforo.tenancy.models import Tenant
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from catalog.models import Customer
from webhooks.models import AlertRule, CustomerPreference
from webhooks.models.alert_rules import LONGEST_COOLDOWN, Channel
from webhooks.outbound.conditions import InvalidCondition, read_conditions
from webhooks.outbound.routing import ALERT

MOST_RULES = 200  # of a tenant: one fact that all of them meet takes the carrier half a second
EDITABLE = frozenset(
    {"name", "severity", "fact", "conditions", "channels", "cooldown", "is_active"}
)


@transaction.atomic
def create_rule(*, tenant: Tenant, actor: Actor, now: datetime, **fields: object) -> AlertRule:
    """A new rule, for facts from now on. A tenant has `MOST_RULES`."""
    _require_room(tenant)
    rule = AlertRule(id=new_id(), tenant=tenant, created_at=now, **fields)
    _require_sound(rule)
    rule.save(force_insert=True)
    _note(rule, "ALERT_RULE_CREATED", audit.differences({}, _state(rule)), actor=actor, now=now)
    return rule


@transaction.atomic
def change_rule(
    *, rule: AlertRule, edits: Mapping[str, object], actor: Actor, now: datetime
) -> AlertRule:
    """Change some of `EDITABLE`; facts that are carried from now on are judged by it."""
    locked = _locked(rule)
    before = _state(locked)
    for name in edits.keys() & EDITABLE:
        setattr(locked, name, edits[name])
    _require_sound(locked)
    changes = audit.differences(before, _state(locked))
    if changes:
        locked.save(update_fields=sorted(EDITABLE))
        _note(locked, "ALERT_RULE_CHANGED", changes, actor=actor, now=now)
    return locked


@transaction.atomic
def archive_rule(*, rule: AlertRule, actor: Actor, now: datetime) -> AlertRule:
    """Alert by it no more; what it told stays."""
    locked = _locked(rule)
    if locked.archived_at is None:
        locked.archived_at, locked.is_active = now, False
        locked.save(update_fields=["archived_at", "is_active"])
        _note(locked, "ALERT_RULE_ARCHIVED", {"archived_at": now}, actor=actor, now=now)
    return locked


@transaction.atomic
def prefer(
    *,
    customer: Customer,
    fact: str,
    channels: Sequence[str],
    cooldown: timedelta | None,
    actor: Actor,
    now: datetime,
) -> CustomerPreference:
    """Tell alerts about this customer so, of this kind or ("") of all; instead of what was before.

    No channel at all means never.
    """
    if fact and fact not in facts():
        raise _refused("fact", f"there is no fact {fact!r}")
    _require_channels(channels)
    _require_cooldown(cooldown)
    chosen = list(dict.fromkeys(channels))
    own = CustomerPreference.objects.for_tenant(customer.tenant_id)
    row, _ = own.update_or_create(
        tenant_id=customer.tenant_id,
        customer=customer,
        fact=fact,
        defaults={"channels": chosen, "cooldown": cooldown},
    )
    preference: CustomerPreference = row
    audit.record(
        tenant=customer.tenant_id,
        actor=actor,
        action="CUSTOMER_PREFERENCE_SET",
        target=customer,
        now=now,
        changes={"fact": fact, "channels": chosen, "cooldown": str(cooldown)},
    )
    return preference


@transaction.atomic
def forget_preference(*, preference: CustomerPreference, actor: Actor, now: datetime) -> None:
    """Tell alerts about the customer as the rules say again."""
    audit.record(
        tenant=preference.tenant_id,
        actor=actor,
        action="CUSTOMER_PREFERENCE_FORGOTTEN",
        target=preference.customer,
        now=now,
        changes={"fact": preference.fact},
    )
    preference.delete()


def _locked(rule: AlertRule) -> AlertRule:
    found: AlertRule = (
        AlertRule.objects.for_tenant(rule.tenant_id).select_for_update().get(pk=rule.pk)
    )
    return found


def _require_room(tenant: Tenant) -> None:
    Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)  # one who counts at a time
    if AlertRule.objects.for_tenant(tenant).filter(archived_at=None).count() >= MOST_RULES:
        reason = f"a tenant has at most {MOST_RULES} alert rules: remove one first"
        raise Refused(reason, code="TOO_MANY_ALERT_RULES")


def _require_sound(rule: AlertRule) -> None:
    if rule.fact not in facts() or rule.fact == ALERT:
        raise _refused("fact", f"there is no fact {rule.fact!r} to be alerted of")
    try:
        read_conditions(rule.conditions)
    except InvalidCondition as error:
        raise _refused(f"conditions[{error.position}]", str(error)) from None
    if not rule.channels:
        raise _refused("channels", "name at least one")
    _require_channels(rule.channels)
    _require_cooldown(rule.cooldown)


def _require_channels(channels: Sequence[str]) -> None:
    unknown = [one for one in channels if one not in Channel.values]
    if unknown:
        raise _refused("channels", f"there is no channel {unknown[0]!r}")


def _require_cooldown(cooldown: timedelta | None) -> None:
    if cooldown is not None and cooldown < timedelta():
        raise _refused("cooldown", "is not negative")
    if cooldown is not None and cooldown > LONGEST_COOLDOWN:
        raise _refused("cooldown", f"is at most {LONGEST_COOLDOWN.days} days")


def _refused(name: str, message: str) -> Refused:
    return Refused.naming(on_the_wire(name), "INVALID", message)


def _state(rule: AlertRule) -> dict[str, object]:
    return {name: getattr(rule, name) for name in sorted(EDITABLE - {"cooldown"})} | {
        "cooldown": str(rule.cooldown)
    }


def _note(
    rule: AlertRule, action: str, changes: Mapping[str, object], *, actor: Actor, now: datetime
) -> None:
    audit.record(
        tenant=rule.tenant_id, actor=actor, action=action, target=rule, now=now, changes=changes
    )
