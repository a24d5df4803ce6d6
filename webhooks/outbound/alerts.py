"""Alerts: facts that meet somebody's conditions are told again, as what they mean to them."""

import contextlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Q

from aforo.ids import new_id
from aforo.outbox.models import OutboxMessage
from aforo.outbox.services import publish
from catalog.models import Customer
from webhooks.inbound.walking import Allowance
from webhooks.models import AlertFiring, AlertRule, CustomerPreference
from webhooks.outbound.conditions import (
    MOST_PLACES,
    Condition,
    InvalidCondition,
    read_conditions,
)
from webhooks.outbound.routing import ALERT

PLACES_OF_A_PAGE = 1_000_000  # looked at in one transaction: a second
LOST = (OperationalError, InterfaceError)  # nobody's fault, and over soon
Conditions = tuple[Condition, ...]
log = structlog.get_logger(__name__)
# Of those who come at once one moves `quiet_until`, and only that one alerts.
_FIRE = """
    INSERT INTO alert_firings AS f (id, tenant_id, rule_id, customer_key, fired_at, quiet_until,
                                    fired_count, quiet_count)
    VALUES (%(id)s, %(tenant)s, %(rule)s, %(customer)s, %(at)s, %(until)s, 1, 0)
    ON CONFLICT (rule_id, customer_key) DO UPDATE
    SET fired_at = excluded.fired_at, quiet_until = excluded.quiet_until,
        fired_count = f.fired_count + 1
    WHERE f.quiet_until <= excluded.fired_at
    RETURNING f.id
"""
_QUIET = """
    UPDATE alert_firings SET quiet_count = quiet_count + 1
    WHERE rule_id = %(rule)s AND customer_key = %(customer)s
"""


@dataclass(frozen=True, slots=True)
class Wish:
    """How one customer's alerts are told."""

    channels: Sequence[str]
    cooldown: timedelta | None


class Fired(NamedTuple):
    """How many alerts were published, and of how many messages, from the first."""

    alerts: int
    looked_at: int


def fire_alerts(messages: Sequence[OutboxMessage]) -> Fired:
    """Publish `alert.fired` for each rule whose conditions a message meets.

    In the transaction that carries the messages, so that each is looked at exactly once; when
    looking has taken a second, the rest is for the next page. Times are those of the facts, on
    their tenant's clock. Without rules this is one statement.
    """
    rules = _rules({message.tenant_id for message in messages})
    fired = places = 0
    for number, message in enumerate(messages):
        if places > PLACES_OF_A_PAGE:
            return Fired(fired, number)
        for rule, conditions in rules[message.tenant_id, message.fact]:
            allowance = Allowance(MOST_PLACES)
            fired += _is_met(rule, conditions, message, allowance) and _fire_alone(message, rule)
            places += MOST_PLACES - allowance.left
    return Fired(fired, len(messages))


def _is_met(
    rule: AlertRule, conditions: Conditions, message: OutboxMessage, allowance: Allowance
) -> bool:
    """Whether all its conditions hold. One that cannot be looked at must not hold up the rest."""
    try:
        return all(one.holds(message.payload, allowance) for one in conditions)
    except Exception as error:  # noqa: BLE001  # what a tenant wrote stops no other tenant
        log.warning("alert_rule_fails", rule=str(rule.pk), error=str(error))
        return False


def _rules(tenant_ids: set[UUID]) -> Mapping[tuple[UUID, str], list[tuple[AlertRule, Conditions]]]:
    found: defaultdict[tuple[UUID, str], list[tuple[AlertRule, Conditions]]] = defaultdict(list)
    rows = AlertRule.objects.filter(is_active=True, tenant__in=tenant_ids)  # any tenant
    for rule in rows.exclude(fact=ALERT).order_by("pk"):
        try:
            conditions = read_conditions(rule.conditions)
        except InvalidCondition as error:  # of before such paths were refused: it says nothing
            log.warning("alert_rule_fails", rule=str(rule.pk), error=str(error))
        else:
            found[rule.tenant_id, rule.fact].append((rule, conditions))
    return found


def _fire_alone(message: OutboxMessage, rule: AlertRule) -> bool:
    """As `_fire`; an alert that cannot be told is logged, and its message is carried on."""
    try:
        with transaction.atomic():
            return _fire(message, rule)
    except LOST:
        raise
    except Exception:
        log.exception("alert_lost", rule=str(rule.pk), message=str(message.pk))
        return False


def _fire(message: OutboxMessage, rule: AlertRule) -> bool:
    customer = customer_of(message)
    said = str(message.payload.get("customerId") or "")
    wish = wish_of(customer, message.fact) or Wish(rule.channels, None)
    channels = [channel for channel in rule.channels if channel in wish.channels]
    cooldown = rule.cooldown if wish.cooldown is None else wish.cooldown
    key = customer.external_id if customer else said[:255]
    if not channels or not _is_due(message, rule, key, cooldown):
        return False
    alert = publish(
        tenant_id=message.tenant_id,
        fact=ALERT,
        subject=rule.pk,
        payload={
            "ruleId": str(rule.pk),
            "name": rule.name,
            "severity": rule.severity,
            "customerId": key or None,
            "channels": channels,
            "fact": message.fact,
            "messageId": str(message.pk),
            "payload": message.payload,
        },
        now=message.created_at,
    )
    firings = AlertFiring.objects.for_tenant(message.tenant_id)
    firings.filter(rule=rule, customer_key=key).update(message=alert)
    return True


def _is_due(message: OutboxMessage, rule: AlertRule, key: str, cooldown: timedelta) -> bool:
    """Whether this customer may be alerted of it now; the next time only after the cooldown."""
    at = message.created_at
    values: dict[str, Any] = {
        "id": new_id(),
        "tenant": message.tenant_id,
        "rule": rule.pk,
        "customer": key,
        "at": at,
        "until": at + cooldown,
    }
    with connection.cursor() as cursor:
        cursor.execute(_FIRE, values)
        if cursor.fetchone() is not None:
            return True
        cursor.execute(_QUIET, values)
        return False


def customer_of(message: OutboxMessage) -> Customer | None:
    """The customer whom a fact is about: facts say our id or the tenant's own."""
    said = message.payload.get("customerId")
    if not isinstance(said, str) or not said:
        return None
    is_it = Q(external_id=said)
    with contextlib.suppress(ValueError):
        is_it |= Q(pk=UUID(said))
    found: Customer | None = Customer.objects.for_tenant(message.tenant_id).filter(is_it).first()
    return found


def wish_of(customer: Customer | None, fact: str) -> Wish | None:
    """What is preferred for a customer; a wish about this kind comes before one about all."""
    if customer is None:
        return None
    rows = CustomerPreference.objects.for_tenant(customer.tenant_id).filter(customer=customer)
    chosen = rows.filter(fact__in=(fact, "")).order_by("-fact").first()
    return None if chosen is None else Wish(chosen.channels, chosen.cooldown)
