"""What the proof of an invoice's usage lines is made from, read in a constant number of statements.

Only the walk over the events themselves, later, grows with them.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from aforo.money import EXACT, ZERO
from aforo.periods import month_start
from aforo.tenancy.models import Tenant
from billing.models import BillRunEventIndex, Invoice, InvoiceLine
from billing.replayed_usage import Counting
from billing.services.late_facts import scaled
from catalog.models import BillableUnit, RatePlanVersion, SubscriptionPeriod, UnitPrice
from catalog.pricing import InvalidTerms, Part, Terms, Usage, parse_terms, parts_from_json
from catalog.selectors.prices import PeriodPrice, prices_of_totals, with_rollover
from metering import proof
from metering.models import RatingAdjustment, RunningTotal, UniqueValue
from metering.selectors.archives import archived_months
from metering.selectors.corrections import taken_back

_MOMENT = timedelta(microseconds=1)  # a period ends before its end


@dataclass(frozen=True, slots=True)
class Evidence:
    """One usage line's span, unit and price. `published` is what plan and contract ask for.

    An adjustment bills what its span adds to `billed`, which earlier lines have billed; any other
    line bills all there is. `adjustments` is what no event brought while the span grew. `voids` are
    positions that do not stand, `counting` says how events become usage. `parts` are those that
    the terms keep of single events at the span's end; None where only a replay can tell.
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
    counting: Counting
    parts: tuple[Part, ...] | None = ()

    @property
    def reached(self) -> Usage:
        """What is billed of the total once this line is."""
        quantity = EXACT.add(self.billed.quantity, self.span.quantity)
        return Usage(quantity, self.billed.count + self.span.event_count, self.parts or ())

    @property
    def is_told_by_sums(self) -> bool:
        """Whether its price follows from what spans add up to, without walking the events."""
        return not self.terms.keeps_parts or (not self.is_adjustment and self.parts is not None)

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
        keys = {total.id: _key(total) for total in self._totals.values()}
        self._prices = prices_of_totals(tenant.id, set(keys.values()))
        versions = RatePlanVersion.objects.for_tenant(tenant)
        self._versions = versions.in_bulk(
            {total.plan_version_id for total in self._totals.values()}
        )
        self._adjustments = _adjustments(total_ids)
        self._voids = taken_back(total_ids)
        self._carried_values = _carried_values(self._totals.values())
        periods = SubscriptionPeriod.objects.for_tenant(tenant).select_related("subscription")
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
        price = self._prices.get(_key(total))
        if price is None:
            raise Unprovable(f"no plan version prices {unit.name!r} for its running total")
        period = self._periods.get(total.period_id)
        if period is None:
            raise Unprovable(f"running total {total.id} is of a period that is not there")
        terms = _terms(line.terms)
        return Evidence(
            span=span,
            key=proof.total_key(self._secret, total.id),
            unit=unit,
            terms=terms,
            published=self._published(
                total, price, period, said=terms, rollover=rollover_of(line, total)
            ),
            is_adjustment=line.is_adjustment,
            adjustments=self._adjusted(span),
            billed=self._billed_before(span) if line.is_adjustment else Usage(ZERO),
            voids=self._voids.get(total.id, {}),
            counting=Counting(
                unit=unit,
                terms=terms,
                span=(proof.microseconds(period.start_at), proof.microseconds(period.end_at)),
                carried=total.carried,
                carried_values=self._carried_values.get(total.id, ()),
                adjusts=line.is_adjustment,
            ),
            parts=_parts(total, span),
        )

    def _published(
        self,
        total: RunningTotal,
        price: PeriodPrice,
        period: SubscriptionPeriod,
        *,
        said: Terms,
        rollover: Decimal,
    ) -> Terms:
        """The terms of the total's dimension, with that rollover, scaled to the period.

        A flat rate in advance is due on the invoice before or, where none asked for it, now.
        """
        try:
            of_period = price.terms.of_dimension(total.dimension)
        except InvalidTerms as error:
            raise Unprovable(f"the published terms cannot be read: {error}") from error
        terms = with_rollover(of_period, rollover)
        if price.row.timing == UnitPrice.Timing.ADVANCE:
            nothing = terms.prorated(ZERO, period.whole_seconds)
            if said == nothing:
                return nothing
        return scaled(terms, period, self._versions[total.plan_version_id])

    def _adjusted(self, span: BillRunEventIndex) -> Decimal:
        """What was adjusted while the total stood within the span, or before its first event."""
        adjusted = ZERO
        for amount, position in self._adjustments.get(span.running_total_id, ()):
            at = position or 0
            is_first = span.first_position == 1
            if at <= span.last_position and (is_first or at >= span.first_position):
                adjusted = EXACT.add(adjusted, amount)
        return adjusted

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


def _key(total: RunningTotal) -> tuple[UUID, UUID, UUID]:
    return total.period_id, total.plan_version_id, total.unit_id


def rollover_of(line: InvoiceLine, total: RunningTotal) -> Decimal:
    """What a line was granted beside the included units; late usage gets none that went on."""
    went_on = ZERO if line.is_adjustment else total.passed_on
    return EXACT.add(total.rollover, went_on)


def _parts(total: RunningTotal, span: BillRunEventIndex) -> tuple[Part, ...] | None:
    """The kept parts at the end of `span`, where the total's watermark still is."""
    if span.last_position != total.billed_position:
        return None
    return parts_from_json((total.billed_state or {}).get("parts"))


def _adjustments(
    total_ids: Collection[int],
) -> Mapping[int, Sequence[tuple[Decimal, int | None]]]:
    """By total, each amount and the position at which the total stood."""
    rows = RatingAdjustment.objects.filter(running_total_id__in=total_ids)  # any tenant: by id
    found: defaultdict[int, list[tuple[Decimal, int | None]]] = defaultdict(list)
    for total_id, amount, position in rows.values_list("running_total_id", "amount", "position"):
        found[total_id].append((amount, position))
    return found


def _carried_values(totals: Collection[RunningTotal]) -> Mapping[int, Sequence[str]]:
    """By total of a recurring unit, hashes of the values it had from the period before."""
    ids = [total.id for total in totals if total.carried is not None]
    rows = UniqueValue.objects.filter(  # any tenant: by id
        running_total_id__in=ids, is_carried=True
    )
    found: defaultdict[int, list[str]] = defaultdict(list)
    for total_id, value in rows.values_list("running_total_id", "value"):
        found[total_id].append(value.hex)
    return found


def _terms(stored: object) -> Terms:
    try:
        return parse_terms(stored if isinstance(stored, dict) else {})
    except InvalidTerms as error:
        raise Unprovable(f"the stored terms cannot be read: {error}") from error
