"""Stored lines as far as tax is concerned: what the Tax stage had before it, read again."""

from billing.models import InvoiceLine
from billing.pipeline import LineType
from billing.pipeline.tax_base import Part, gives_back, takes_back


def part_of(line: InvoiceLine) -> Part:
    """The part that the line of a draft was when it was written, by its position."""
    return Part(
        number=line.position,
        type=LineType(line.type),
        amount=line.amount,
        tax_code=line.tax_code,
        version_id=line.version_id,
        of_line=line.of_line,
        takes_back=takes_back(line.stage, line.type),
        gives_back=gives_back(line.stage, line.type),
        ahead=line.ahead,
    )
