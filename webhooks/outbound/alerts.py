"""Alerts: facts that meet somebody's conditions are told again, as what they mean to them."""

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple, Self
from uuid import UUID

import structlog
from django.db import connection, transaction
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
from webhooks.outbound.faults import LOST
from webhooks.outbound.routing import ALERT
from webhooks.outbound.shares import Shares

PLACES_OF_A_CONDITION = 1_000  # what reading its path costs, in places looked at
PLACES_OF_AN_ALERT = 2_500  # likewise its statements, also when it is quiet
Conditions = tuple[Condition, ...]
Kind = tuple[UUID, str]  # a tenant and a fact
log = structlog.get_logger(__name__)
# Of those who come at once one moves `fired_at`, and only that one alerts. The cooldown is that of
# now: a shorter one ends a quiet that began under a longer one.
_FIRE = """
    INSERT INTO alert_firings AS f (id, tenant_id, rule_id, customer_key, fired_at, quiet_until,
                                    fired_count, quiet_count)
    VALUES (%(id)s, %(tenant)s, %(rule)s, %(customer)s, %(at)s, %(until)s, 1, 0)
    ON CONFLICT (rule_id, customer_key) DO UPDATE
    SET fired_at = excluded.fired_at, quiet_until = excluded.quiet_until,
        fired_count = f.fired_count + 1
    WHERE f.fired_at + %(cooldown)s <= excluded.fired_at
    RETURNING f.id
"""
_QUIET = """
    UPDATE alert_firings
    SET quiet_count = quiet_count + 1, quiet_until = fired_at + %(cooldown)s
    WHERE rule_id = %(rule)s AND customer_key = %(customer)s
"""


@dataclass(frozen=True, slots=True)
class Wish:
    """How one customer's alerts are told."""

    channels: Sequence[str]
    cooldown: timedelta | None


class Fired(NamedTuple):
    """How many alerts were published, and which messages were looked at."""

    alerts: int
    messages: list[OutboxMessage]


def fire_alerts(messages: Sequence[OutboxMessage], shares: Shares) -> Fired:
    """Publish `alert.fired` for each rule whose conditions a message meets.

    In the transaction that carries the messages, so that each is looked at exactly once; what is
    left of a tenant whose rules have had their share of it is for the next page. Times are those
    of the facts, on their tenant's clock. Without rules this is one statement.
    """
    rules = _Rules.of({(message.tenant_id, message.fact) for message in messages})
    fired, looked_at = 0, []
    for message in messages:
        if not shares.has_room(message.tenant_id, is_free=not rules.are_about(message)):
            continue
        met, places = [], 0
        for rule, conditions in rules.about(message):
            allowance = Allowance(MOST_PLACES)
            if _is_met(rule, conditions, message, allowance):
                met.append(rule)
            places += MOST_PLACES - allowance.left
        fired += _fire_all(message, met)
        places += len(met) * PLACES_OF_AN_ALERT + rules.places_spent()
        shares.spend(message.tenant_id, places)
        looked_at.append(message)
    return Fired(fired, looked_at)


def _is_met(
    rule: AlertRule, conditions: Conditions, message: OutboxMessage, allowance: Allowance
) -> bool:
    """Whether all its conditions hold. One that cannot be looked at must not hold up the rest."""
    try:
        return all(one.holds(message.payload, allowance) for one in conditions)
    except LOST:
        raise
    except Exception as error:  # noqa: BLE001  # what a tenant wrote stops no other tenant
        log.warning("alert_rule_fails", rule=str(rule.pk), error=str(error))
        return False


@dataclass(slots=True)
class _Rules:
    """The rules that ask for what a page tells, each read when the first such message comes."""

    rows: Mapping[Kind, list[AlertRule]]
    known: dict[Kind, list[tuple[AlertRule, Conditions]]] = field(default_factory=dict)
    spent: int = 0

    @classmethod
    def of(cls, kinds: set[Kind]) -> Self:
        found: defaultdict[Kind, list[AlertRule]] = defaultdict(list)
        tenant_ids, said = {one for one, _ in kinds}, {fact for _, fact in kinds} - {ALERT}
        rows = AlertRule.objects.filter(  # any tenant
            is_active=True, tenant__in=tenant_ids, fact__in=said
        )
        for rule in rows.order_by("pk"):
            found[rule.tenant_id, rule.fact].append(rule)
        return cls(found)

    def are_about(self, message: OutboxMessage) -> bool:
        """Whether there are any; reads none."""
        return (message.tenant_id, message.fact) in self.rows

    def about(self, message: OutboxMessage) -> list[tuple[AlertRule, Conditions]]:
        """Those of the message's tenant that ask for its fact."""
        kind = message.tenant_id, message.fact
        if kind not in self.known:
            self.known[kind] = list(self._read(self.rows.get(kind, ())))
        return self.known[kind]

    def places_spent(self) -> int:
        """What reading rules has cost since this was asked last."""
        spent, self.spent = self.spent, 0
        return spent

    def _read(self, rows: Iterable[AlertRule]) -> Iterator[tuple[AlertRule, Conditions]]:
        for rule in rows:
            self.spent += len(rule.conditions) * PLACES_OF_A_CONDITION
            try:
                yield rule, read_conditions(rule.conditions)
            except InvalidCondition as error:  # of before such paths were refused: it says nothing
                log.warning("alert_rule_fails", rule=str(rule.pk), error=str(error))


def _fire_all(message: OutboxMessage, met: Sequence[AlertRule]) -> int:
    if not met:  # nearly always
        return 0
    customer = customer_of(message)
    wish = wish_of(customer, message.fact)
    return sum(_fire_alone(message, rule, customer, wish) for rule in met)


def _fire_alone(
    message: OutboxMessage, rule: AlertRule, customer: Customer | None, wish: Wish | None
) -> bool:
    """As `_fire`; an alert that cannot be told is logged, and its message is carried on."""
    try:
        with transaction.atomic():
            return _fire(message, rule, customer, wish or Wish(rule.channels, None))
    except LOST:
        raise
    except Exception:
        log.exception("alert_lost", rule=str(rule.pk), message=str(message.pk))
        return False


def _fire(message: OutboxMessage, rule: AlertRule, customer: Customer | None, wish: Wish) -> bool:
    said = str(message.payload.get("customerId") or "")
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
        "cooldown": cooldown,
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
