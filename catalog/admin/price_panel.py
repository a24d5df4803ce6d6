"""Beside a price while it is written: what a quantity would cost, line by line, and its curve."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_POST

from aforo.money import ZERO, plain
from catalog.admin.terms_table import TermsTable, place_of
from catalog.pricing import InvalidTerms, Terms, parse_terms
from catalog.pricing.curve import Point, curve
from catalog.pricing.preview import charge_at, preview_quantity

USUAL, MOST = Decimal(15_000), Decimal(10) ** 18
WIDTH, HEIGHT = 480, 160  # of the curve, in units of its picture


@require_POST
def price_panel(request: HttpRequest) -> HttpResponse:
    """A fragment of the page: the lines of a worked example, or what is wrong with the terms."""
    said = TermsTable().value_from_datadict(request.POST, {}, "terms")
    try:
        context = _worked(parse_terms(said or {}), _quantity(request.POST.get("quantity", "")))
    except InvalidTerms as error:
        context = {"place": place_of(error.field), "field": error.field, "fault": error.reason}
    return TemplateResponse(request, "catalog/price_panel.html", context)


def _worked(terms: Terms, quantity: Decimal) -> dict[str, object]:
    previewed = preview_quantity(terms, quantity, {})
    points = curve(charge_at(terms, {}), bounds=terms.bounds, up_to=quantity)
    return {
        "quantity": _grouped(quantity),
        "amount": _grouped(previewed.amount),
        "charges": [
            (
                charge.label,
                _grouped(charge.quantity) if charge.quantity else "",
                "" if charge.unit_price is None else plain(charge.unit_price),
                _grouped(charge.amount),
            )
            for _, charge in previewed.lines
        ],
        "drawn": _drawn(points),
        "width": WIDTH,
        "height": HEIGHT,
    }


def _drawn(points: Sequence[Point]) -> str:
    """The points of a line, from the lower left corner of its picture to the right."""
    most = max(point.amount for point in points) or Decimal(1)
    widest = points[-1].quantity or Decimal(1)
    return " ".join(
        _place(point.quantity * WIDTH / widest, HEIGHT - max(point.amount, ZERO) * HEIGHT / most)
        for point in points
    )


def _quantity(text: str) -> Decimal:
    """What was asked for, as far as it is a quantity above zero."""
    try:
        quantity = Decimal(text)
    except InvalidOperation:
        return USUAL
    return quantity if quantity.is_finite() and ZERO < quantity < MOST else USUAL


def _grouped(value: Decimal) -> str:
    """All its digits, in groups of three: a zero too many is seen."""
    return f"{Decimal(plain(value)):,f}"


def _place(across: Decimal, down: Decimal) -> str:
    return f"{across:.1f},{down:.1f}"
