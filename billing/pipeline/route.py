"""Route: which part of the total is invoiced and which is drawn from a wallet."""

from dataclasses import replace

from aforo.money import ZERO, plain
from billing.pipeline.draft import Draft
from billing.pipeline.facts import Facts

POSTPAID = "POSTPAID"


def route_total(draft: Draft, facts: Facts) -> Draft:
    """Send all of the total to the invoice.

    Raises ValueError for a billing mode that needs a wallet, which offerings refuse when they are
    written, and for a total below zero, which no invoice can ask for.
    """
    if facts.billing_mode != POSTPAID:
        raise ValueError(f"billing mode {facts.billing_mode} needs a wallet, and there is none")
    total = draft.total()
    if total < ZERO:
        raise ValueError(f"the total is {plain(total)} {facts.currency}, below zero")
    return replace(draft, to_invoice=total)
