"""What the stages that make lines share: their wording and their rounding."""

from decimal import Decimal
from uuid import UUID

from aforo.money import Money
from billing.pipeline.draft import Line, LineType
from billing.pipeline.facts import Facts, LateFact, PlanFact, UsageFact
from catalog.pricing.dimensions import label_of

NAME_LENGTH = 100  # three names and a proration clause stay below the 400 of a stored description


def line_of(
    owner: str,
    facts: Facts,
    *,
    stage: str,
    line_type: LineType,
    subject: str,
    exact_amount: Decimal,
    version_id: UUID | None = None,
    tax_code: str = "",
) -> Line:
    """A line about `subject` of a plan, a contract or a coupon; rounded once, here."""
    return Line(
        stage=stage,
        type=line_type,
        description=f"{short(owner)}: {subject}",
        amount=Money(exact_amount, facts.currency).rounded(),
        exact_amount=exact_amount,
        version_id=version_id,
        tax_code=tax_code,
    )


def plan_line(
    plan: PlanFact,
    facts: Facts,
    *,
    stage: str,
    line_type: LineType,
    subject: str,
    exact_amount: Decimal,
) -> Line:
    """A line of `plan` about `subject`."""
    return line_of(
        plan.name,
        facts,
        stage=stage,
        line_type=line_type,
        subject=subject,
        exact_amount=exact_amount,
        version_id=plan.version_id,
        tax_code=plan.tax_code,
    )


def unit_subject(fact: UsageFact | LateFact) -> str:
    """What a usage line is about; names the measure unless the unit's name already does."""
    name = unit_name(fact)
    if not fact.unit_label or _words(fact.unit_label) in _words(fact.unit_name):
        return name
    return f"{name} ({short(fact.unit_label)})"


def _words(name: str) -> str:
    return name.casefold().replace("_", " ").replace("-", " ")


def unit_name(fact: UsageFact | LateFact) -> str:
    """The unit and, where usage is split by some, its dimension values."""
    if not fact.dimension:
        return short(fact.unit_name)
    return f"{short(fact.unit_name)}, {short(label_of(fact.dimension))}"


def label(fact: UsageFact, facts: Facts) -> str:
    """Plan and unit: the name of a usage in records and notes."""
    for plan in facts.plans:
        if plan.version_id == fact.version_id:
            return f"{short(plan.name)}: {unit_name(fact)}"
    return unit_name(fact)


def short(name: str) -> str:
    """`name`, cut where it would crowd out the rest of a description."""
    return name if len(name) <= NAME_LENGTH else f"{name[: NAME_LENGTH - 1]}…"
