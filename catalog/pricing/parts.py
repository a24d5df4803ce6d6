"""Parts in JSON, as a running total keeps them."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from aforo.money import plain
from catalog.pricing.terms import Part


def parts_to_json(parts: Sequence[Part]) -> list[dict[str, object]]:
    """JSON values, numbers as text: the same parts give the same JSON."""
    return [_written(part) for part in parts]


def parts_from_json(json: object) -> tuple[Part, ...]:
    """The inverse of `parts_to_json`; None is no parts. ValueError for anything else."""
    if json is None:
        return ()
    if not isinstance(json, list | tuple):
        raise ValueError("parts must be a list")  # noqa: TRY004 - what is stored is of no type yet
    return tuple(_read(item) for item in json)


def _written(part: Part) -> dict[str, object]:
    written: dict[str, object] = {"quantity": plain(part.quantity), "count": part.count}
    if part.amount is not None:
        written["amount"] = plain(part.amount)
    if part.dimensions:
        written["dimensions"] = [list(pair) for pair in part.dimensions]
    return written


def _read(item: object) -> Part:
    if not isinstance(item, Mapping):
        raise ValueError("a part must be an object")  # noqa: TRY004 - as above
    amount = item.get("amount")
    return Part(
        quantity=Decimal(item["quantity"]),
        count=int(item["count"]),
        amount=None if amount is None else Decimal(amount),
        dimensions=tuple((str(key), str(value)) for key, value in item.get("dimensions", ())),
    )
