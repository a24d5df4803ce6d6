"""Settle: whether the invoice becomes final by itself. Its number is drawn later, under a lock."""

from dataclasses import replace

from billing.pipeline.draft import Draft
from billing.pipeline.facts import Facts


def settle_invoice(draft: Draft, facts: Facts) -> Draft:
    """Say whether the invoice is to be issued at once or waits as a draft for somebody's look."""
    finalize = facts.auto_finalize and not draft.tax_pending
    note = "to be issued at once" if finalize else "kept as a draft"
    return replace(draft, finalize=finalize).noting(f"no wallet drawn from; {note}")
