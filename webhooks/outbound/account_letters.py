"""E-mail to the seller's account managers: a letter for each warning about a customer of theirs."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal, localcontext
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.urls import reverse

from aforo.money import plain, round_to_minor
from aforo.outbox.models import OutboxMessage
from aforo.queue import enqueue
from aforo.tenancy.models import Tenant
from catalog.models import Customer
from metering.margin.arithmetic import Level, Margin
from metering.models import MarginGuard
from webhooks.models import CustomerLetter
from webhooks.outbound.customer_mail import TASK

FACT = "margin.warning"
Customers = dict[tuple[UUID, str], Customer]  # by tenant and external id
log = structlog.get_logger(__name__)
_CENT = Decimal("0.01")
_LONGEST_TITLE = 200
_TEXT = """\
The margin of {customer} has fallen below {threshold}.

Customer: {customer}
Guard: {guard}, which looks at {what}
Margin now: {margin}, the threshold is {threshold}
Revenue: {revenue}
Cost: {cost}
Since: {since}
{meaning}
The guard: {page}

You are told because you are the account manager of this customer. You are told of this threshold
again when the margin has risen over it and fallen once more.

{seller}
"""
_MEANING = {
    Level.L2_THROTTLE: "\nThis guard only alerts. If it enforced, gateways would throttle now.\n",
    Level.L3_BLOCK: "\nThis guard only alerts. If it enforced, requests would be blocked now.\n",
}


def write_to_account_managers(messages: Sequence[OutboxMessage], *, now: datetime) -> int:
    """A letter for each warning about a customer who has an account manager; how many.

    In the transaction that carries the messages, to the address that the customer has by then. A
    warning is told once per alert, so a letter is, too; what the customer prefers is about letters
    to the customer. None leaves a sandbox. A letter that cannot be written is logged, and its
    message is carried on.
    """
    warnings = [one for one in messages if one.fact == FACT]
    if not warnings:  # nearly always
        return 0
    letters = list(_letters(warnings, _managed(warnings), now))
    CustomerLetter.objects.bulk_create(letters, ignore_conflicts=True)
    if letters:
        enqueue(TASK)
    return len(letters)


def _managed(warnings: Sequence[OutboxMessage]) -> Customers:
    """Customers with an account manager whom live tenants are warned of."""
    rows = Customer.objects.filter(  # any tenant: each warning finds its own below
        tenant__in={one.tenant_id for one in warnings},
        external_id__in={str(one.payload.get("customerId")) for one in warnings},
    ).exclude(account_manager_email="")
    found = rows.select_related("tenant")
    return {(one.tenant_id, one.external_id): one for one in found if not one.tenant.is_sandbox}


def _letters(
    warnings: Sequence[OutboxMessage], customers: Customers, now: datetime
) -> Iterator[CustomerLetter]:
    for message in warnings:
        customer = customers.get((message.tenant_id, str(message.payload.get("customerId"))))
        if customer is None:
            continue
        try:
            title, text = _wording(message.payload, customer, customer.tenant)
        except (KeyError, TypeError, ValueError, ArithmeticError):
            log.exception("account_letter_lost", message=str(message.pk))
        else:
            yield _letter(message, customer, title, text, now)


def _letter(
    message: OutboxMessage, customer: Customer, title: str, text: str, now: datetime
) -> CustomerLetter:
    return CustomerLetter(
        tenant_id=message.tenant_id,
        customer=customer,
        message_id=message.pk,
        fact=message.fact,
        address=customer.account_manager_email,
        title=title[:_LONGEST_TITLE],
        text=text,
        told_at=message.created_at,
        next_attempt_at=now,
        created_at=now,
    )


def _wording(payload: dict[str, Any], customer: Customer, seller: Tenant) -> tuple[str, str]:
    margin = Margin(Decimal(payload["revenue"]), Decimal(payload["cost"]))
    threshold = _percent(Decimal(payload["floorPercent"]))
    named, guard = _named(customer), payload["guard"]
    only_alerts = payload["mode"] == MarginGuard.Mode.ALERT_ONLY
    text = _TEXT.format(
        customer=named,
        guard=guard,
        what=payload["metric"] or "all that the customer uses",
        margin=margin.shown,
        threshold=threshold,
        revenue=_amount(margin.revenue, payload["currency"]),
        cost=_amount(margin.cost, payload["currency"]),
        since=f"{datetime.fromisoformat(payload['raisedAt']).astimezone(UTC):%d %B %Y, %H:%M} UTC",
        meaning=_MEANING.get(Level(payload["level"]), "") if only_alerts else "",
        page=_page_of(payload["guardId"]),
        seller=seller.name,
    )
    return f"{named}: margin below {threshold} ({margin.shown})", text


def _named(customer: Customer) -> str:
    """Name and external id in one line: what others wrote into them is no line of its own."""
    name, known_as = " ".join(customer.name.split()), " ".join(customer.external_id.split())
    return f"{name} ({known_as})" if name and name != known_as else known_as


def _percent(value: Decimal) -> str:
    """Towards more, as margins are shown towards less: what is below never looks equal."""
    with localcontext(prec=100):
        return f"{plain(value.quantize(_CENT, ROUND_CEILING))} %"


def _amount(amount: Decimal, currency: str) -> str:
    return f"{round_to_minor(amount, currency):,f} {currency}"


def _page_of(guard_id: str) -> str:
    path = reverse("admin:metering_marginguard_change", args=[guard_id])
    return f"{str(settings.SITE_URL).rstrip('/')}{path}"
