"""What the stages that make lines share: their wording, their share of a period, their rounding."""

from decimal import Decimal

from aforo.money import EXACT, Money, divide
from billing.pipeline.draft import Line, LineType
from billing.pipeline.facts import Facts, LateFact, PlanFact, UsageFact

NAME_LENGTH = 100  # three names and a proration clause stay below the 400 of a stored description


def plan_line(
    plan: PlanFact,
    facts: Facts,
    *,
    stage: str,
    line_type: LineType,
    subject: str,
    exact_amount: Decimal,
) -> Line:
    """A line of `plan` about `subject`, rounded once, here."""
    amount = Money(exact_amount, facts.currency).rounded()
    description = f"{short(plan.name)}: {subject}"
    return Line(stage, line_type, description, amount, exact_amount, version_id=plan.version_id)


def prorated(amount: Decimal, facts: Facts) -> Decimal:
    """The part of a full period's `amount` that this period owes, to 12 decimals."""
    if not facts.is_partial:
        return amount
    return divide(EXACT.multiply(amount, facts.seconds), facts.whole_seconds)


def proration_clause(facts: Facts) -> str:
    """How a line names its share of the period; empty when the period is whole."""
    if not facts.is_partial:
        return ""
    return f", prorated to {facts.seconds:,f} of {facts.whole_seconds:,f} seconds"


def unit_subject(fact: UsageFact | LateFact) -> str:
    """What a usage line is about; names the measure unless the unit's name already does."""
    name = unit_name(fact)
    if not fact.unit_label or _words(fact.unit_label) in _words(fact.unit_name):
        return name
    return f"{name} ({short(fact.unit_label)})"


def _words(name: str) -> str:
    return name.casefold().replace("_", " ").replace("-", " ")


def unit_name(fact: UsageFact | LateFact) -> str:
    """The unit and, where usage is split by one, its dimension value."""
    if not fact.dimension:
        return short(fact.unit_name)
    return f"{short(fact.unit_name)}, {short(fact.dimension)}"


def label(fact: UsageFact, facts: Facts) -> str:
    """Plan and unit: the name of a usage in records and notes."""
    for plan in facts.plans:
        if plan.version_id == fact.version_id:
            return f"{short(plan.name)}: {unit_name(fact)}"
    return unit_name(fact)


def short(name: str) -> str:
    """`name`, cut where it would crowd out the rest of a description."""
    return name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 1]}…"
