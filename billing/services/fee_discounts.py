"""What discounts took off fees in advance that were not used up, read from their invoices."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from uuid import UUID

from billing.models import Invoice, InvoiceLine
from billing.pipeline import LineType
from billing.pipeline.taken_off import MadeLine, taken_off
from catalog.models import RatePlanVersion


def taken_off_fees(tenant_id: UUID, fees: Sequence[InvoiceLine]) -> Mapping[UUID, Decimal]:
    """By the id of a line, what others than its plan's percentage took off it.

    Two statements, none without lines.
    """
    if not fees:
        return {}
    rows = InvoiceLine.objects.for_tenant(tenant_id).filter(
        invoice__in={fee.invoice_id for fee in fees}
    )
    lines: defaultdict[UUID, list[InvoiceLine]] = defaultdict(list)
    for row in rows.select_related("invoice").order_by("invoice", "position"):
        lines[row.invoice_id].append(row)
    versions = {row.version_id for own in lines.values() for row in own if row.version_id}
    percents = dict(
        RatePlanVersion.objects.for_tenant(tenant_id)
        .filter(pk__in=versions)
        .values_list("pk", "discount_percent")
    )
    return {
        fee.pk: taken_off(
            _made(fee),
            [_made(line) for line in lines[fee.invoice_id]],
            percents,
            currency=fee.invoice.currency,
        )
        for fee in fees
    }


def _made(line: InvoiceLine) -> MadeLine:
    return MadeLine(
        stage=line.stage,
        type=LineType(line.type),
        amount=line.amount,
        version_id=line.version_id,
        ahead=_is_ahead(line),
        description=line.description,
        late=line.is_adjustment,
    )


def _is_ahead(line: InvoiceLine) -> bool | None:
    """As it was written; of a fee that was before that was kept, by the invoice it stands on."""
    if line.ahead is None and line.covers_start_at is not None:
        return line.type == InvoiceLine.Type.CHARGE and line.invoice.kind != Invoice.Kind.OPENING
    return line.ahead
