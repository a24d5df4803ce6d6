"""What an external tax engine is asked and has to answer; `docs/tax-engine.md` says it for people.

Nothing here is sent: a question is bytes, an answer is bytes that are read and checked.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from aforo.money import EXACT, ZERO, divide, exact, minor_units, plain
from billing.models import Invoice, InvoiceLine
from billing.pipeline.tax_base import Part, taxable_bases
from billing.pipeline.tax_lines import TaxAmount, percent_of
from billing.pipeline.tax_table import Tax
from billing.selectors.tax_parts import part_of

_HUNDRED = Decimal(100)
_INSTANT = timedelta(microseconds=1)
_PLACES = 12  # of a percentage
_DIGITS = 40


class BadAnswer(ValueError):
    """An answer that no invoice can be made of: it says too little, too much, or is not exact."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of one invoice as it stands; another content is another revision."""

    invoice_id: UUID
    revision: str
    body: bytes
    bases: Mapping[int, Decimal]
    currency: str
    inclusive: bool

    @property
    def idempotency_key(self) -> str:
        return f"{self.invoice_id}-{self.revision}"


@dataclass(frozen=True, slots=True)
class Taxation:
    """A checked answer: amounts by tax, percentages by line, and what the paper has to say."""

    amounts: Sequence[TaxAmount]
    percents: Mapping[int, Decimal]
    notes: Sequence[str]


class _AnsweredTax(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    percent: Decimal
    amount: Decimal


class _AnsweredLine(msgspec.Struct):
    position: int
    taxes: Annotated[list[_AnsweredTax], msgspec.Meta(max_length=10)]


class _Answered(msgspec.Struct, rename="camel"):
    lines: list[_AnsweredLine]
    tax_total: Decimal
    notes: Annotated[
        list[Annotated[str, msgspec.Meta(min_length=1, max_length=400)]],
        msgspec.Meta(max_length=5),
    ] = []


def question_about(invoice: Invoice, lines: Sequence[InvoiceLine]) -> Question:
    """What to ask about a draft with these lines in their order, read with its customer and seller.

    Discounts and credits are taken off the lines that they are of; lines that come to nothing are
    not asked about.
    """
    bases = taxable_bases([part_of(line) for line in lines], invoice.currency)
    by_position = {part.number: base for part, base in sorted(bases.items(), key=_number)}
    content = _content(invoice, lines, by_position)
    revision = hashlib.sha256(msgspec.json.encode(content)).hexdigest()[:16]
    return Question(
        invoice_id=invoice.pk,
        revision=revision,
        body=msgspec.json.encode(content | {"revision": revision}),
        bases=by_position,
        currency=invoice.currency,
        inclusive=invoice.billing_entity.tax_inclusive,
    )


def read_answer(question: Question, body: bytes) -> Taxation:
    """What the engine says, when it is sound; raises BadAnswer otherwise.

    Every line is answered once, every amount is of whole minor units and within one of its
    percentage, and the taxes sum up to `taxTotal`. They may take an invoice below zero: as it is
    made, they are held to what there is.
    """
    try:
        answered = msgspec.json.decode(body, type=_Answered, strict=True)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadAnswer(f"the answer cannot be read: {error}") from None
    if sorted(line.position for line in answered.lines) != sorted(question.bases):
        raise BadAnswer("the answer does not have each line that was asked about, once")
    with exact():
        for line in answered.lines:
            _require_sound(question, line)
        amounts = _by_tax(question, answered.lines)
        _require_sum(answered, sum((one.exact_amount for one in amounts), ZERO))
    return Taxation(
        amounts=amounts,
        percents={
            line.position: percent_of(Tax(tax.name, tax.percent) for tax in line.taxes)
            for line in answered.lines
        },
        notes=answered.notes,
    )


def _number(item: tuple[Part, Decimal]) -> int:
    return item[0].number


def _content(
    invoice: Invoice, lines: Sequence[InvoiceLine], bases: Mapping[int, Decimal]
) -> dict[str, object]:
    entity, customer = invoice.billing_entity, invoice.customer
    zone = ZoneInfo(entity.time_zone)
    return {
        "invoiceId": str(invoice.pk),
        "currency": invoice.currency,
        "date": _day(invoice.period_end_at - _INSTANT, zone),
        "pricesIncludeTax": entity.tax_inclusive,
        "seller": _party(invoice.seller, ("legalName", "address", "country", "taxNumber"))
        | {"region": entity.region},
        "buyer": _party(invoice.buyer, ("externalId", "name", "address", "country", "taxNumber"))
        | {"region": customer.region},
        "lines": [
            {
                "position": line.position,
                "description": line.description,
                "taxCode": line.tax_code,
                "date": _day(_supplied_at(line, invoice), zone),
                "amount": f"{bases[line.position]:.{minor_units(invoice.currency)}f}",
            }
            for line in lines
            if line.position in bases
        ],
    }


def _party(copied: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    return {name: copied.get(name, "") for name in names}


def _supplied_at(line: InvoiceLine, invoice: Invoice) -> datetime:
    """The moment whose taxes hold for a stored line: as the Tax stage says of one in the making."""
    if line.covers_start_at is not None:
        return line.covers_start_at
    if line.type == InvoiceLine.Type.SETUP_FEE:
        return invoice.period_start_at
    return (line.period_end_at or invoice.period_end_at) - _INSTANT


def _day(moment: datetime, zone: ZoneInfo) -> str:
    return moment.astimezone(zone).date().isoformat()


def _require_sound(question: Question, line: _AnsweredLine) -> None:
    where = f"line {line.position}"
    scale = minor_units(question.currency)
    for tax in line.taxes:
        if not (_is_short(tax.percent) and ZERO <= tax.percent < 10 * _HUNDRED):
            raise BadAnswer(f"{where}: {tax.percent} is no percentage")
        if not (_is_short(tax.amount) and _decimals(tax.amount) <= scale):
            raise BadAnswer(f"{where}: {tax.amount} is no amount of {question.currency}")
        if _decimals(tax.percent) > _PLACES:
            raise BadAnswer(f"{where}: {tax.percent} has more than {_PLACES} decimals")
    names = [tax.name for tax in line.taxes]
    if len(set(names)) < len(names):
        raise BadAnswer(f"{where}: one tax is named twice")
    if any("\x00" in name for name in names):
        raise BadAnswer(f"{where}: a nul character is in the name of a tax")
    together = sum((tax.percent for tax in line.taxes), ZERO)
    if together >= 10 * _HUNDRED:
        raise BadAnswer(f"{where}: {plain(together)} % is no tax of a line")
    for tax in line.taxes:
        divisor = _HUNDRED + together if question.inclusive else _HUNDRED
        expected = divide(question.bases[line.position] * tax.percent, divisor)
        if abs(tax.amount - expected) > Decimal(1).scaleb(-scale):
            raise BadAnswer(
                f"{where}: {plain(tax.percent)} % is {plain(expected)}, not {plain(tax.amount)}"
            )


def _is_short(value: Decimal) -> bool:
    """Whether it can be calculated with: a few bytes may write a number of a million digits."""
    digits, exponent = value.as_tuple().digits, value.as_tuple().exponent
    return isinstance(exponent, int) and abs(exponent) <= _DIGITS and len(digits) <= _DIGITS


def _decimals(value: Decimal) -> int:
    exponent = value.normalize(EXACT).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _by_tax(question: Question, lines: Sequence[_AnsweredLine]) -> list[TaxAmount]:
    found: dict[Tax, TaxAmount] = {}
    for line in lines:
        for said in line.taxes:
            tax = Tax(said.name, Decimal(plain(said.percent)))
            before = found.get(tax, TaxAmount(tax, ZERO, ZERO))
            found[tax] = TaxAmount(
                tax, before.base + question.bases[line.position], before.exact_amount + said.amount
            )
    return sorted(found.values(), key=lambda one: (one.tax.name, -one.tax.percent))


def _require_sum(answered: _Answered, together: Decimal) -> None:
    if answered.tax_total != together:
        raise BadAnswer(f"taxTotal is {answered.tax_total}, the lines come to {plain(together)}")
