"""What the proof of an invoice's usage lines is made from, read in a constant number of statements.

Only the walk over the events themselves, later, grows with them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db.models import Sum

from aforo.money import ZERO
from billing.models import BillRunEventIndex, Invoice, InvoiceLine
from catalog.models import BillableUnit, UnitPrice
from catalog.pricing import InvalidTerms, Terms, parse_terms
from metering import proof
from metering.models import RatingAdjustment, RunningTotal


@dataclass(frozen=True, slots=True)
class Evidence:
    """One usage line's span, unit and price. `published` is what its plan version asks for."""

    span: BillRunEventIndex
    key: bytes
    unit: BillableUnit
    terms: Terms
    published: Terms
    adjustments: Decimal


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
        self._secret = bytes(tenant.hash_secret)
        self._period = invoice.period

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
        return Evidence(
            span=span,
            key=proof.total_key(self._secret, total.id),
            unit=unit,
            terms=_terms(line.terms),
            published=_terms(price.terms).prorated(
                self._period.seconds, self._period.whole_seconds
            ),
            adjustments=self._adjustments.get(total.id, ZERO),
        )


def _adjustments(total_ids: Sequence[int]) -> Mapping[int, Decimal]:
    rows = RatingAdjustment.objects.filter(running_total_id__in=total_ids)  # any tenant: by id
    sums = rows.order_by().values_list("running_total_id").annotate(sum=Sum("amount"))
    return dict(sums)


def _terms(stored: object) -> Terms:
    try:
        return parse_terms(stored if isinstance(stored, dict) else {})
    except InvalidTerms as error:
        raise Unprovable(f"the stored terms cannot be read: {error}") from error
