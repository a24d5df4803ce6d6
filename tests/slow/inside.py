"""What only Django can do on an installation: one JSON line in, one JSON line out.

A process of its own, since the settings of a test run lead to the servers of the test run.
"""

import json
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import close_old_connections, transaction
from django.utils import timezone

from aforo.demo import seed as demo
from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from billing import invariants
from billing.models import Invoice
from billing.verification import verify_invoice
from catalog.models import Offering
from catalog.services.customers import create_customer
from catalog.services.subscriptions import create_subscription
from metering.selectors import accounts


def seed(*, start: str) -> dict[str, str]:
    """A tenant's sandbox with five subscribed customers, and its keys."""
    seeded = demo.seed(start=datetime.fromisoformat(start), now=timezone.now())
    return {
        "tenant_id": str(seeded.sandbox.pk),
        "metering_key": seeded.metering_key,
        "operator_key": seeded.operator_key,
    }


@transaction.atomic
def subscribe(*, tenant_id: str, start: str, count: int) -> None:
    """As many more customers, named so that they come after all others."""
    tenant = Tenant.objects.get(pk=tenant_id)
    offering = Offering.objects.for_tenant(tenant).get(code=demo.OFFERING)
    about = {"tenant": tenant, "actor": Actor.system("test"), "now": datetime.fromisoformat(start)}
    for number in range(1, count + 1):
        customer = create_customer(
            external_id=f"more_{number:04}", name="One more", currency=demo.CURRENCY, **about
        )
        create_subscription(
            customer=customer, offering=offering, start=about["now"], anchor_day=1, **about
        )


def account(*, tenant_id: str) -> dict[str, int]:
    """Where its events are, by place."""
    return asdict(accounts.account_of(UUID(tenant_id)))


def broken_truths() -> dict[str, list[str]]:
    """What does not hold, of all tenants and all rows."""
    broken = invariants.broken_truths(full=True)
    return {truth: [str(one) for one in violations] for truth, violations in broken.items()}


def flaws(*, tenant_id: str) -> dict[str, list[str]]:
    """The steps of each invoice's proof that do not hold, by number."""
    invoices = Invoice.objects.for_tenant(UUID(tenant_id))
    return {
        str(invoice): [f"line {step.line}: {step.claim}" for step in verify_invoice(invoice).broken]
        for invoice in invoices
    }


QUESTIONS: dict[str, Callable[..., Any]] = {
    question.__name__: question for question in (seed, subscribe, account, broken_truths, flaws)
}


def answer_questions() -> None:
    for line in sys.stdin:
        question, options = json.loads(line)
        close_old_connections()  # the server may have been killed since
        try:
            answer = {"answer": QUESTIONS[question](**options)}
        except Exception:  # noqa: BLE001  whoever asked raises it
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), flush=True)  # noqa: T201
