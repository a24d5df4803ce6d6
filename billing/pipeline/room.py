"""Room: how much a credit may take off an invoice without eating into what is still to be granted.

A fixed discount is lost where nothing is left to take it off; a credit that can wait is not.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from uuid import UUID

from aforo.money import EXACT, ZERO, divide
from billing.pipeline.commitments import Commitment, commitments_in
from billing.pipeline.draft import Draft, Line, LineType
from billing.pipeline.facts import Facts, LateFact, PlanFact
from billing.pipeline.fee_facts import FeeFact, PaidFact

HUNDRED = Decimal(100)


def room_for(line: Line, draft: Draft, facts: Facts) -> Decimal:
    """What a credit may take away: of its own plan's lines, if it still has that plan, and of all.

    Lines are seen as the Commit stage will leave them. Below zero where discounts take all.
    """
    rooms = [EXACT.subtract(_coming(draft, facts), _taken_off_all(facts))]
    for plan in facts.plans:
        if plan.version_id == line.version_id:
            own = _of_plan(plan, draft, facts)
            rooms.append(EXACT.subtract(own, _before_percent(plan)))
    return min(rooms)


def room_for_refund(paid: PaidFact, draft: Draft, facts: Facts) -> Decimal:
    """How much of a fee, before all discounts, the lines leave room to give back.

    Other plans' percentages are of their own lines, and those of contracts and coupons of what is
    not given back.
    """
    of_plan = {plan.version_id: _of_plan(plan, draft, facts) for plan in facts.plans}
    left = _coming(draft, facts)
    for version_id, percent in percents_of(facts).items():
        lines = of_plan.get(version_id, draft.total(version_id=version_id))
        left = EXACT.subtract(left, _share(lines, percent))
    left = EXACT.subtract(left, _sum(plan.discount_amount for plan in facts.plans))
    back = refunded(draft, facts)
    left = EXACT.add(_after_others(EXACT.subtract(left, back), draft, facts), back)
    left = EXACT.subtract(left, _sum(earlier.amount for earlier in facts.earlier))
    if left <= ZERO or not paid.asked:
        return ZERO
    return max(ZERO, min(draft.total(), divide(EXACT.multiply(left, paid.amount), paid.asked)))


def refunded(draft: Draft, facts: Facts) -> Decimal:
    """What lines of unused fees come to, below zero, once discounts of theirs are taken off them.

    No percentage of a contract or a coupon is of it.
    """
    percents = percents_of(facts)
    found = ZERO
    for line in draft.lines:
        if line.type is LineType.PRORATION:
            percent = percents.get(line.version_id, ZERO) if line.version_id else ZERO
            net = EXACT.subtract(line.amount.amount, _share(line.amount.amount, percent))
            found = EXACT.add(found, EXACT.add(net, line.taken_off))
    return found


def percents_of(facts: Facts) -> Mapping[UUID, Decimal]:
    """The percentage of each plan that a line may be of."""
    percents = {one.version_id: one.discount_percent for one in former_of(facts)}
    plans = (*facts.plans, *facts.coming)
    return percents | {plan.version_id: plan.discount_percent for plan in plans}


def _after_others(left: Decimal, draft: Draft, facts: Facts) -> Decimal:
    """What contracts and coupons leave of what plans have left, nothing being given back."""
    percents = percents_of(facts)
    ahead = _sum(
        EXACT.subtract(amount, _share(amount, percents.get(version_id, ZERO)))
        for version_id, amount in (
            (line.version_id, line.amount.amount) for line in draft.lines if line.ahead
        )
        if version_id is not None
    )
    if facts.contract is not None:
        ahead = EXACT.subtract(ahead, _share(ahead, facts.contract.discount_percent))
        left = EXACT.subtract(left, _share(left, facts.contract.discount_percent))
        left = max(ZERO, EXACT.subtract(left, facts.contract.discount_amount))
    for coupon in facts.coupons:
        if not coupon.percent:
            left = max(ZERO, EXACT.subtract(left, coupon.amount))
            continue
        of_next = _share(ahead, coupon.percent) if coupon.of_next else ZERO
        own = _share(max(ZERO, EXACT.subtract(left, ahead)), coupon.percent)
        left = EXACT.subtract(EXACT.subtract(left, of_next), own if coupon.of_period else ZERO)
        ahead = EXACT.subtract(ahead, of_next)
    return left


def former_of(facts: Facts) -> Iterator[LateFact | FeeFact]:
    """What may be of a plan that the period has no more."""
    yield from facts.late
    yield from (paid.fee for paid in facts.unreturned)


def _coming(draft: Draft, facts: Facts) -> Decimal:
    """What all lines come to once minimum and maximum are seen to."""
    by_plan = _sum(_of_plan(plan, draft, facts) for plan in facts.plans)
    known = _sum(draft.total(version_id=plan.version_id) for plan in facts.plans)
    others = EXACT.subtract(draft.total(), known)
    elsewhere = EXACT.subtract(draft.total(), draft.total(own_period=True))
    own = EXACT.subtract(EXACT.add(by_plan, others), elsewhere)
    for one in commitments_in(facts):
        if one.version_id is None:
            own = _held(own, one, draft)
    return EXACT.add(own, elsewhere)


def _of_plan(plan: PlanFact, draft: Draft, facts: Facts) -> Decimal:
    own = draft.total(version_id=plan.version_id, own_period=True)
    elsewhere = EXACT.subtract(draft.total(version_id=plan.version_id), own)
    for one in commitments_in(facts):
        if one.version_id == plan.version_id:
            own = _held(own, one, draft)
    return EXACT.add(own, elsewhere)


def _held(own: Decimal, commitment: Commitment, draft: Draft) -> Decimal:
    """`own` lifted to the minimum and held to the maximum, less what counts beside it."""
    beside = commitment.beside(draft)
    held = max(own, EXACT.subtract(commitment.minimum, beside))
    if commitment.maximum is None:
        return held
    limit = max(commitment.maximum, commitment.floor)
    return min(held, max(ZERO, EXACT.subtract(limit, beside)))


def _taken_off_all(facts: Facts) -> Decimal:
    """What all lines have to come to, for everything fixed to be taken off in full."""
    needed = _after_plans(facts)
    percents = [plan.discount_percent for plan in (*facts.plans, *facts.coming)]
    percents += [one.discount_percent for one in former_of(facts)]
    needed = _grossed_up(needed, max(percents, default=ZERO)) if needed else needed
    return EXACT.add(needed, _sum(_before_percent(plan) for plan in facts.plans))


def _after_plans(facts: Facts) -> Decimal:
    """The same once plans have taken off theirs: the contract, coupons, and what was asked for."""
    needed = _sum(earlier.amount for earlier in facts.earlier)
    for coupon in reversed(facts.coupons):
        amount = ZERO if coupon.percent else coupon.amount
        needed = EXACT.add(_grossed_up(needed, coupon.percent), amount)
    if facts.contract is not None:
        needed = EXACT.add(needed, facts.contract.discount_amount)
        needed = _grossed_up(needed, facts.contract.discount_percent)
    return needed


def _before_percent(plan: PlanFact) -> Decimal:
    """The part of a plan's lines that its fixed discount will take, its percentage taken before."""
    return _grossed_up(plan.discount_amount, plan.discount_percent)


def _grossed_up(amount: Decimal, percent: Decimal) -> Decimal:
    """What `amount` is left of, when a percentage is taken; zero when all is taken."""
    kept = EXACT.subtract(HUNDRED, percent)
    if not amount or not kept:
        return ZERO
    return divide(EXACT.multiply(amount, HUNDRED), kept) if percent else amount


def _share(amount: Decimal, percent: Decimal) -> Decimal:
    return EXACT.multiply(amount, EXACT.scaleb(percent, -2))


def _sum(amounts: Iterator[Decimal]) -> Decimal:
    total = ZERO
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total
