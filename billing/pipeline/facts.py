"""Facts: everything that an invoice depends on, read once, before the first stage."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from aforo.money import ZERO
from billing.pipeline.fee_facts import AdvanceFact, FeeFact, PaidFact
from billing.pipeline.shares import Share, share_of
from catalog import pricing
from catalog.pricing import Terms


@dataclass(frozen=True, slots=True)
class PlanFact:
    """What one pinned rate plan version asks for per full period, whatever the usage."""

    version_id: UUID
    name: str
    base_fee: Decimal = ZERO
    minimum_spend: Decimal = ZERO
    discount_percent: Decimal = ZERO
    discount_amount: Decimal = ZERO
    setup_fee: Decimal = ZERO
    maximum_spend: Decimal | None = None
    in_advance: bool = False  # the base fee
    by_days: bool = False  # how fees are prorated
    tax_code: str = ""


@dataclass(frozen=True, slots=True)
class ContractFact:
    """What the customer's own contract asks for and grants in this period.

    Spends are per full period; None leaves the plans' own. `term_spent` is what the earlier periods
    of the term came to, before discounts; late usage of periods from `term_start` on is a part of
    it, too. The minimum of the term is asked for in its last period, its maximum holds in each.
    """

    contract_id: UUID
    name: str
    minimum_spend: Decimal | None = None
    maximum_spend: Decimal | None = None
    discount_percent: Decimal = ZERO
    discount_amount: Decimal = ZERO
    term_minimum: Decimal = ZERO
    term_maximum: Decimal | None = None
    term_spent: Decimal = ZERO
    ends_term: bool = False
    term_start: datetime | None = None


@dataclass(frozen=True, slots=True)
class CouponFact:
    """A redeemed coupon: a percentage, or an amount in the invoice's currency.

    A percentage may be of this period alone, or of the next one's fees in advance alone.
    """

    redemption_id: UUID
    code: str
    percent: Decimal = ZERO
    amount: Decimal = ZERO
    of_period: bool = True
    of_next: bool = True


@dataclass(frozen=True, slots=True)
class GrantFact:
    """Included units that an earlier period left over, and that nobody has used yet."""

    grant_id: UUID
    period_start: datetime
    units: Decimal
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class TaxRateFact:
    """A row of the rate table; empty matches any. It holds in [valid_from, valid_until)."""

    name: str
    country: str
    region: str
    tax_code: str
    percent: Decimal
    valid_from: datetime | None = None
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class TaxFact:
    """Who taxes whom, where. `engine` is NONE, TABLE or HTTP.

    `buyer_number` is empty unless it is a valid number of the buyer's country.
    """

    engine: str = "NONE"
    inclusive: bool = False
    seller_country: str = ""
    seller_region: str = ""
    seller_number: str = ""
    buyer_country: str = ""
    buyer_region: str = ""
    buyer_number: str = ""
    exempt: bool = False
    rates: tuple[TaxRateFact, ...] = ()


@dataclass(frozen=True, slots=True)
class EarlierFact:
    """An invoice that has asked for a part of this period's usage already, tax left out.

    Of one that taxed by several tax codes, there is one for each: below zero where it gave back
    more of a fee than it asked for.
    """

    invoice_id: UUID
    number: str
    amount: Decimal
    tax_code: str = ""


@dataclass(frozen=True, slots=True)
class UsageFact:
    """One running total as it stood, locked, when the run read it."""

    running_total_id: int
    version_id: UUID
    unit_id: UUID
    unit_name: str
    unit_label: str
    dimension: str
    quantity: Decimal
    event_count: int
    position: int
    digest: bytes
    revenue: Decimal
    terms: Terms
    tax_code: str = ""
    parts: tuple[pricing.Part, ...] = ()  # where the terms price single events
    rollover: Decimal = ZERO  # units carried over, as its events were priced with
    grants: tuple[GrantFact, ...] = ()  # where those come from, the oldest first
    expires_at: datetime | None = None  # of what it leaves over; None: nothing rolls over
    rollover_cap: Decimal | None = None  # in units, of all that goes on together; None: no cap
    is_paid: bool = False  # its flat rate, in advance
    goes_on: bool = False  # whether the next period begins with something of this one


@dataclass(frozen=True, slots=True)
class LateFact:
    """What a total of an earlier period has taken since it was billed, as it stood, locked.

    `before` is what was billed, `after` all there is: both of the earlier period, whose `terms`
    (already scaled to it) price them. The span is `first_position` to `last_position`.
    """

    running_total_id: int
    version_id: UUID
    plan_name: str
    unit_id: UUID
    unit_name: str
    unit_label: str
    dimension: str
    period_start: datetime
    period_end: datetime
    before: pricing.Usage
    after: pricing.Usage
    first_position: int
    last_position: int
    digest: bytes
    revenue: Decimal
    terms: Terms
    tax_code: str = ""
    discount_percent: Decimal = ZERO  # of its plan


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything a subscription's period owes its price to. `seconds / whole_seconds` prorates.

    Plans and usage are put into one order when built, so that no invoice can tell in which order
    its rows were read: plans by name, usage by plan, unit and dimension, late usage by its period.
    """

    currency: str
    period_start: datetime
    period_end: datetime
    seconds: Decimal
    whole_seconds: Decimal
    billing_mode: str
    auto_finalize: bool
    plans: tuple[PlanFact, ...]
    usage: tuple[UsageFact, ...]
    late: tuple[LateFact, ...] = ()
    days: Decimal = ZERO  # of the period in its time zone, where plans prorate by days
    whole_days: Decimal = ZERO
    is_first: bool = False  # of the subscription: setup fees are due
    is_opening: bool = False  # nothing but what is due when the period begins: `fees`, setup fees
    fees: tuple[FeeFact, ...] = ()  # that this period owes in advance
    paid: tuple[PaidFact, ...] = ()  # those of them that were asked for
    unreturned: tuple[PaidFact, ...] = ()  # of earlier periods: unused, and not given back yet
    advance: AdvanceFact | None = None  # the next period, where fees are due in advance
    coming: tuple[PlanFact, ...] = ()  # plans of that period which this one has not
    next_start: datetime | None = None  # of the next period: after a pause, later than our end
    contract: ContractFact | None = None
    coupons: tuple[CouponFact, ...] = ()  # in order of redemption
    tax: TaxFact = TaxFact()
    earlier: tuple[EarlierFact, ...] = ()

    def __post_init__(self) -> None:
        plans = sorted(self.plans, key=lambda plan: (plan.name, plan.version_id))
        place = {plan.version_id: number for number, plan in enumerate(plans)}
        usage = sorted(
            self.usage,
            key=lambda fact: (
                place.get(fact.version_id, len(plans)),
                fact.unit_name,
                fact.unit_id,
                fact.dimension,
                fact.running_total_id,
            ),
        )
        late = sorted(
            self.late,
            key=lambda fact: (
                fact.period_start,
                fact.plan_name,
                fact.unit_name,
                fact.dimension,
                fact.running_total_id,
            ),
        )
        object.__setattr__(self, "plans", tuple(plans))
        object.__setattr__(self, "usage", tuple(usage))
        object.__setattr__(self, "late", tuple(late))

    @property
    def goes_on_at(self) -> datetime:
        """When usage goes on: what has expired by then, nobody can use any more."""
        return self.next_start or self.period_end

    @property
    def is_partial(self) -> bool:
        """Whether the period is shorter (or longer) than the one that prices are stated for."""
        return self.seconds != self.whole_seconds

    def share(self, *, by_days: bool = False) -> Share:
        """The part of a full period that this one is."""
        return share_of(
            seconds=(self.seconds, self.whole_seconds),
            days=(self.days, self.whole_days),
            by_days=by_days,
        )
