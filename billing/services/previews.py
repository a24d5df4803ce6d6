"""Previews: what the invoice of the running period would be, were it billed now."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from billing import pipeline
from billing.pipeline import Facts, Result
from billing.services.drafting import Work, facts_of
from billing.services.progress import running_period
from catalog.models import Subscription, SubscriptionPeriod


@dataclass(frozen=True, slots=True)
class Preview:
    """A priced period of which nothing was written."""

    period: SubscriptionPeriod
    facts: Facts
    result: Result
    at: datetime

    @property
    def stages(self) -> list[dict[str, object]]:
        """What each of the ten stages did."""
        return [record.as_dict() for record in self.result.records]


def preview_invoice(*, subscription: Subscription, now: datetime) -> Preview:
    """Run all ten stages over the running period as its totals stand; fees are those of all of it.

    The facts are read the way a bill run reads them, and the transaction is rolled back: so the
    preview cannot say anything else than the invoice, and leaves nothing behind. Conflict when no
    period runs. Raises StageFailed for what cannot be priced.
    """
    period = running_period(subscription, now=now)
    work = Work(tenant_id=period.tenant_id, periods=[period], auto_finalize=False)
    with transaction.atomic():
        facts = facts_of(work, now=now)[period.id]
        transaction.set_rollback(True)
    return Preview(period, facts, pipeline.run(facts), now)
