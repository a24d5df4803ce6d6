"""A priced period on its way to the database."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from aforo.ids import new_id
from billing.models import Invoice
from billing.pipeline import Facts, Line, Result
from catalog.models import SubscriptionPeriod


@dataclass(frozen=True, slots=True)
class NewInvoice:
    """A priced period on its way to the database. Lines get their ids in their order."""

    id: UUID
    period: SubscriptionPeriod
    facts: Facts
    result: Result
    line_ids: tuple[UUID, ...]
    kind: Invoice.Kind

    @classmethod
    def of(
        cls,
        period: SubscriptionPeriod,
        facts: Facts,
        result: Result,
        kind: Invoice.Kind = Invoice.Kind.PERIOD,
    ) -> "NewInvoice":
        line_ids = tuple(new_id() for _ in result.draft.lines)
        return cls(new_id(), period, facts, result, line_ids, kind)

    @property
    def tenant_id(self) -> UUID:
        return self.period.tenant_id

    @property
    def billed_total_ids(self) -> Iterator[int]:
        """The totals that it bills as far as they stand."""
        for fact in self.facts.usage:
            yield fact.running_total_id
        for line in self.result.draft.lines:
            if line.late is not None:
                yield line.late.running_total_id

    @property
    def lines(self) -> Iterator[tuple[UUID, Line]]:
        return zip(self.line_ids, self.result.draft.lines, strict=True)
