"""Stripe: `Stripe-Signature: t=...,v1=...`, HMAC-SHA256 of the time, a full stop and the body."""

import re
from decimal import Decimal

from stripe import SignatureVerificationError, WebhookSignature

from webhooks.inbound.providers.provider import Payload, Provider, text_in
from webhooks.inbound.rules import Rule
from webhooks.inbound.signatures import BadSignature, Scheme, Signed, require_fresh

HEADER = "Stripe-Signature"
_PLAIN_NUMBER = re.compile(r"0|[1-9]\d*", re.ASCII)
_CENTS = Decimal("0.01")
_WHOSE = "$.data.object.customer"


def verify(signed: Signed, secret: bytes) -> None:
    """While Stripe rolls its secret over, it sends several `v1` and one has to fit.

    Its library reads a time as Python reads numbers, takes the first of several, and has a clock
    of its own: which time that is and how old it may be is decided here.
    """
    header = signed.headers.get(HEADER, "")
    times = [part[2:] for part in header.split(",") if part.startswith("t=")]
    if len(times) != 1 or not _PLAIN_NUMBER.fullmatch(times[0]):
        raise BadSignature(f"{HEADER} has no t and v1")
    try:
        WebhookSignature.verify_header(signed.body, header, secret.decode())
    except (SignatureVerificationError, TypeError, ValueError):  # of what is no ASCII, no UTF-8
        raise BadSignature("the signature does not fit the body") from None
    require_fresh(times[0], now=signed.now)


def event_type(payload: Payload, _header: str) -> str:
    return text_in(payload, "type")


def event_id(payload: Payload) -> str:
    return text_in(payload, "id")


STRIPE = Provider(
    verify=verify,
    event_type=event_type,
    event_id=event_id,
    signature_header=HEADER,
    scheme=Scheme(HEADER, prefix="v1=", requires_timestamp=True),
    dictates_secret=True,
    rules=(
        Rule(
            event_types=("charge.succeeded",),
            customer=_WHOSE,
            metric="stripe_payments",
            quantity="$.data.object.amount",
            quantity_scale=_CENTS,
            occurred_at="$.created",
            metadata={"currency": "$.data.object.currency", "charge": "$.data.object.id"},
        ),
        Rule(
            event_types=("invoice.paid",),
            customer=_WHOSE,
            metric="stripe_invoices_paid",
            quantity="$.data.object.amount_paid",
            quantity_scale=_CENTS,
            occurred_at="$.created",
            metadata={"currency": "$.data.object.currency", "invoice": "$.data.object.id"},
        ),
        Rule(
            event_types=("customer.subscription.created", "customer.subscription.updated"),
            items="$.data.object.items.data[*]",
            customer=_WHOSE,
            metric="stripe_seats",
            quantity="@.quantity",
            occurred_at="$.created",
            metadata={"price": "@.price.id"},
        ),
    ),
)
