"""What the proof of an invoice's usage lines is made from, read in a constant number of statements.

Only the walk over the events themselves, later, grows with them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Sum

from aforo.money import EXACT, ZERO
from aforo.periods import month_start
from aforo.tenancy.models import Tenant
from billing.models import BillRunEventIndex, Invoice, InvoiceLine
from catalog.models import BillableUnit, SubscriptionPeriod, UnitPrice
from catalog.pricing import InvalidTerms, Terms, Usage, parse_terms
from metering import proof
from metering.models import RatingAdjustment, RunningTotal
from metering.selectors.archives import archived_months
from metering.selectors.corrections import taken_back

_MOMENT = timedelta(microseconds=1)  # a period ends before its end


@dataclass(frozen=True, slots=True)
class Evidence:
    """One usage line's span, unit and price. `published` is what its plan version asks for.

    An adjustment bills what its span adds to `billed`, which earlier lines have billed; any other
    line bills all there is, with what no event brought (`adjustments`). `voids` are positions that
    do not stand.
    """

    span: BillRunEventIndex
    key: bytes
    unit: BillableUnit
    terms: Terms
    published: Terms
    is_adjustment: bool
    adjustments: Decimal
    billed: Usage
    voids: Mapping[int, int]

    @property
    def reached(self) -> Usage:
        """What is billed of the total once this line is."""
        quantity = EXACT.add(self.billed.quantity, self.span.quantity)
        return Usage(quantity, self.billed.count + self.span.event_count)

    def price(self, before: Usage, after: Usage) -> Decimal:
        """What the line comes to when its span leads from one usage to the other."""
        return (
            self.terms.marginal(before, after) if self.is_adjustment else self.terms.charge(after)
        )

    def added(self, revenue: Decimal) -> Decimal:
        """The same by the revenue of its events, to which the first line adds `charge(0)`."""
        if self.is_adjustment:
            return revenue
        return EXACT.add(self.terms.charge(Usage(ZERO)), revenue)


class Unprovable(Exception):
    """A row that the proof needs is not there, or cannot be read."""


class Exhibits:
    """The rows behind all usage lines of one invoice."""

    def __init__(self, invoice: Invoice, lines: Sequence[InvoiceLine]) -> None:
        tenant = invoice.tenant
        spans = BillRunEventIndex.objects.for_tenant(tenant).filter(line__in=lines)
        self._spans: Mapping[UUID, BillRunEventIndex] = {span.line_id: span for span in spans}
        total_ids = [span.running_total_id for span in self._spans.values()]
        totals = RunningTotal.objects.filter(tenant_id=tenant.id)  # any tenant: filtered by id
        self._totals = totals.in_bulk(total_ids)
        units = BillableUnit.objects.for_tenant(tenant)
        self._units = units.in_bulk([line.unit_id for line in lines if line.unit_id])
        versions = {total.plan_version_id for total in self._totals.values()}
        prices = UnitPrice.objects.for_tenant(tenant).filter(version_id__in=versions)
        self._prices = {(price.version_id, price.unit_id): price for price in prices}
        self._adjustments = _adjustments(total_ids)
        self._voids = taken_back(total_ids)
        periods = SubscriptionPeriod.objects.for_tenant(tenant)
        self._periods = periods.in_bulk({total.period_id for total in self._totals.values()})
        self._archived = archived_months()
        late_ids = {
            self._spans[line.id].running_total_id
            for line in lines
            if line.is_adjustment and line.id in self._spans
        }
        self._earlier = _spans_of(tenant, late_ids)
        self._secret = bytes(tenant.hash_secret)

    def of(self, line: InvoiceLine) -> Evidence:
        """The evidence for a usage line; raises Unprovable, which says what is missing."""
        span = self._spans.get(line.id)
        total = self._totals.get(span.running_total_id) if span else None
        unit = self._units.get(line.unit_id) if line.unit_id else None
        if span is None or total is None or unit is None:
            raise Unprovable("the line names no events, no running total, or no billable unit")
        price = self._prices.get((total.plan_version_id, unit.id))
        if price is None:
            raise Unprovable(f"no plan version prices {unit.name!r} for its running total")
        period = self._periods.get(total.period_id)
        if period is None:
            raise Unprovable(f"running total {total.id} is of a period that is not there")
        return Evidence(
            span=span,
            key=proof.total_key(self._secret, total.id),
            unit=unit,
            terms=_terms(line.terms),
            published=_terms(price.terms).prorated(period.seconds, period.whole_seconds),
            is_adjustment=line.is_adjustment,
            adjustments=ZERO if line.is_adjustment else self._adjustments.get(total.id, ZERO),
            billed=self._billed_before(span) if line.is_adjustment else Usage(ZERO),
            voids=self._voids.get(total.id, {}),
        )

    def archive_of(self, line: InvoiceLine) -> str | None:
        """Where the events behind a line have gone, if they are not in the tables any more."""
        span = self._spans.get(line.id)
        total = self._totals.get(span.running_total_id) if span else None
        period = self._periods.get(total.period_id) if total else None
        if total is None or period is None or not total.position:
            return None
        first, last = month_start(period.start_at).date(), (period.end_at - _MOMENT).date()
        months = [one for one in self._archived if first <= one.month <= last]
        return "; ".join(f"{one} is in {one.file}, sha256:{one.sha256}" for one in months) or None

    def _billed_before(self, span: BillRunEventIndex) -> Usage:
        """What the spans before this one add up to."""
        quantity, count = ZERO, 0
        for earlier in self._earlier:
            same = earlier.running_total_id == span.running_total_id
            if same and earlier.last_position < span.first_position:
                quantity = EXACT.add(quantity, earlier.quantity)
                count += earlier.event_count
        return Usage(quantity, count)


def _spans_of(tenant: Tenant, total_ids: Collection[int]) -> Sequence[BillRunEventIndex]:
    """All spans of these totals on invoices that stand."""
    if not total_ids:
        return ()
    spans = BillRunEventIndex.objects.for_tenant(tenant).filter(running_total_id__in=total_ids)
    return list(spans.exclude(line__invoice__status=Invoice.Status.VOID))


def _adjustments(total_ids: Sequence[int]) -> Mapping[int, Decimal]:
    rows = RatingAdjustment.objects.filter(running_total_id__in=total_ids)  # any tenant: by id
    sums = rows.order_by().values_list("running_total_id").annotate(sum=Sum("amount"))
    return dict(sums)


def _terms(stored: object) -> Terms:
    try:
        return parse_terms(stored if isinstance(stored, dict) else {})
    except InvalidTerms as error:
        raise Unprovable(f"the stored terms cannot be read: {error}") from error
