"""Opening invoices: what is due when a period begins that no earlier invoice could ask for."""

from dataclasses import replace
from datetime import datetime

from billing import pipeline
from billing.models import Invoice
from billing.pipeline import Facts, StageFailed
from billing.services.copying import NewInvoice, write_drafts
from billing.services.drafting import Work, facts_of, note_replaced


def draft_openings(work: Work, *, now: datetime) -> list[NewInvoice]:
    """Draft the setup fees and first fees in advance of periods that have begun.

    Raises StageFailed for a period that owes nothing in advance.
    """
    if not work.periods:
        return []
    found = facts_of(work, now=now, with_usage=False)  # whose totals others may be waiting for
    facts = {period_id: _opening(one) for period_id, one in found.items()}
    invoices = [
        NewInvoice.of(one, facts[one.id], pipeline.run(facts[one.id]), kind=Invoice.Kind.OPENING)
        for one in work.periods
    ]
    if not all(one.result.draft.lines for one in invoices):
        raise StageFailed("Rate", ValueError("no fee is due in advance"))
    invoices = [replace(one, id=work.ids.get(one.period.id, one.id)) for one in invoices]
    write_drafts(invoices, run_id=work.run_id, created_at=now)
    note_replaced(invoices, work.replaces)
    return invoices


def _opening(facts: Facts) -> Facts:
    return replace(facts, usage=(), late=(), earlier=(), unreturned=(), is_opening=True)
