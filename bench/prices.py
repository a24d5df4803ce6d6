"""What the sellers of the bench charge for each metric, and the same worked out by hand."""

from collections.abc import Sequence
from decimal import Decimal

METRICS = ("tokens", "calls", "storage", "requests")
TOKEN_TIERS = ((Decimal(10_000), Decimal("0.01")), (None, Decimal("0.008")))
STORAGE_TIERS = ((Decimal(5_000), Decimal("0.02")), (None, Decimal("0.015")))
CALL_RATE = Decimal("0.005")
BLOCK, BLOCK_RATE = 10, Decimal("0.05")  # of requests, of which the first block is included
BASE_FEE = Decimal("49.00")

Tiers = Sequence[tuple[Decimal | None, Decimal]]


def price(metric: str, quantity: Decimal) -> Decimal:
    """What `quantity` of a metric costs, worked out apart from the product."""
    if metric == "calls":
        return quantity * CALL_RATE
    if metric == "requests":
        return max(-(-quantity // BLOCK) - 1, Decimal(0)) * BLOCK_RATE
    (end, first), (_, second) = TOKEN_TIERS if metric == "tokens" else STORAGE_TIERS
    if metric == "storage":  # the tier that is reached prices every unit
        return quantity * (first if quantity <= end else second)
    return min(quantity, end) * first + max(quantity - end, Decimal(0)) * second


def _tiers(model: str, tiers: Tiers) -> dict[str, object]:
    wire = [{"tierEnd": str(end or -1), "unitPrice": str(rate)} for end, rate in tiers]
    return {"model": model, "tiers": wire}


UNITS: dict[str, tuple[str, dict[str, object]]] = {
    "tokens": ("SUM", _tiers("GRADUATED", TOKEN_TIERS)),
    "calls": ("COUNT", {"model": "PER_UNIT", "rate": str(CALL_RATE)}),
    "storage": ("SUM", _tiers("VOLUME_TIERED", STORAGE_TIERS)),
    "requests": (
        "COUNT",
        {
            "model": "INCLUDED_QUOTA",
            "includedFree": BLOCK,
            "blockSize": BLOCK,
            "rate": str(BLOCK_RATE),
        },
    ),
}
