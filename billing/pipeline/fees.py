"""Fees: what is due whatever the usage, for this period, for the next one, or once.

Part of the Rate stage. A fee in advance stands on the invoice of the period before, or on an
opening one; the usage beside it is in arrears.
"""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from functools import partial

from aforo.money import EXACT, ZERO, plain
from billing.pipeline.draft import Draft, Line, LineType
from billing.pipeline.facts import Facts, PlanFact
from billing.pipeline.fee_facts import AdvanceFact, FeeFact, PaidFact
from billing.pipeline.lines import line_of, plan_line
from billing.pipeline.room import largest_refund


def fees_of(plan: PlanFact, facts: Facts) -> Iterator[Line]:
    """The setup fee once, and the base fee of this period unless it was paid in advance."""
    if plan.setup_fee and facts.is_first and _is_setup_due(plan, facts):
        yield plan_line(
            plan,
            facts,
            stage="Rate",
            line_type=LineType.SETUP_FEE,
            subject="setup fee",
            exact_amount=plan.setup_fee,
        )
    if plan.base_fee and not facts.is_opening and not _is_paid(plan, facts):
        share = facts.share(by_days=plan.by_days)
        yield plan_line(
            plan,
            facts,
            stage="Rate",
            line_type=LineType.CHARGE,
            subject=f"base fee{share.clause}",
            exact_amount=share.of(plan.base_fee),
        )


def fees_in_advance(facts: Facts) -> Iterator[Line]:
    """The next period's fees, or an opening period's own, each with the span that it covers."""
    advance = _opening(facts) if facts.is_opening else facts.advance
    if advance is not None:
        for fee in advance.fees:
            yield _in_advance(fee, advance, facts)


def credit_unused_fees(draft: Draft, facts: Facts) -> Draft:
    """Give back what was paid for time that the period did not live to see.

    Also what earlier invoices had no room for. As far as there are lines to take it off once all
    discounts, and what was asked for already, are taken off them: those would be lost. The rest is
    noted, and waits for the next invoice of the subscription. What discounts had taken off is not
    given back: the Discount stage adds it to each such line.
    """
    for paid in () if facts.is_opening else (*facts.unreturned, *facts.paid):
        wanted = EXACT.subtract(paid.unused.of(paid.amount), paid.given_back)
        if wanted <= ZERO or not paid.asked:
            continue
        line_of_paid = partial(_unused_line, paid, facts)
        granted = largest_refund(wanted, line_of_paid, draft, facts)
        line = line_of_paid(granted)
        if wanted > granted:
            held = f"{line.description}: {plain(wanted)} held to {plain(granted)}"
            draft = draft.noting(f"{held}, the rest waits for an invoice with room for it")
        if line.amount.amount < ZERO:
            draft = draft.adding(line)
    return draft


def _unused_line(paid: PaidFact, facts: Facts, amount: Decimal) -> Line:
    """The line that gives back `amount` of the fee, before discounts."""
    subject = f"{paid.fee.subject}, unused part of what was paid{_unused(paid)}"
    line = _fee_line(paid.fee, facts, LineType.PRORATION, subject, EXACT.minus(amount))
    off = paid.taken_off_of(EXACT.minus(line.amount.amount))
    return replace(line, covers=paid.covers, taken_off=off)


def _opening(facts: Facts) -> AdvanceFact:
    """The period's own fees that nobody has asked for yet."""
    paid = {(one.fee.version_id, one.fee.unit_id) for one in facts.paid}
    return AdvanceFact(
        start=facts.period_start,
        end=facts.period_end,
        seconds=facts.seconds,
        whole_seconds=facts.whole_seconds,
        fees=tuple(fee for fee in facts.fees if (fee.version_id, fee.unit_id) not in paid),
        days=facts.days,
        whole_days=facts.whole_days,
    )


def _is_setup_due(plan: PlanFact, facts: Facts) -> bool:
    """On the opening invoice with the first fee in advance; with the first period otherwise."""
    return plan.in_advance if facts.is_opening else not _is_paid(plan, facts)


def _is_paid(plan: PlanFact, facts: Facts) -> bool:
    return any(
        paid.fee.version_id == plan.version_id and paid.fee.unit_id is None for paid in facts.paid
    )


def _in_advance(fee: FeeFact, advance: AdvanceFact, facts: Facts) -> Line:
    share = advance.share(by_days=fee.by_days)
    subject = f"{fee.subject}, in advance{share.clause}"
    line = _fee_line(fee, facts, LineType.CHARGE, subject, share.of(fee.amount))
    return replace(line, covers=advance.span, ahead=not facts.is_opening)


def _fee_line(
    fee: FeeFact, facts: Facts, line_type: LineType, subject: str, exact_amount: Decimal
) -> Line:
    line = line_of(
        fee.plan_name,
        facts,
        stage="Rate",
        line_type=line_type,
        subject=subject,
        exact_amount=exact_amount,
        version_id=fee.version_id,
        tax_code=fee.tax_code,
    )
    return replace(line, unit_id=fee.unit_id)


def _unused(paid: PaidFact) -> str:
    share = paid.unused
    return f", {share.part:,f} of {share.whole:,f} {share.measure}"
