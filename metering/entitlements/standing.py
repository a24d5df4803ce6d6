"""What a customer may do, as access checks find it in Redis: by period, so that time decides.

These values are stored as MessagePack and read by position.
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

HORIZON_SECONDS = 2 * 86_400  # a period that begins so soon is stored beside the present one


class Granted(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a subscription has of one feature, until `until` (seconds since 1970; None: for good).

    `unit` is the name of the billable unit that a LIMIT is of; a `limit` of None is unlimited.
    """

    kind: str
    is_enabled: bool = True
    limit: Decimal | None = None
    value: str = ""
    unit: str | None = None
    until: float | None = None


class Quota(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A billable unit that a plan prices: how much of it may be used in the period, if limited.

    `cap` is where the plan's terms deny more (None: nowhere); a unit that is rolled over adds
    `per_rolled` to it. `takes_most`: of several totals the largest counts, not their sum.
    """

    unit: str  # hex of its id
    metric: str
    cap: Decimal | None = None
    per_rolled: Decimal = Decimal(1)
    takes_most: bool = False


class Span(msgspec.Struct, frozen=True, array_like=True):
    """One stored period [start, end) of a subscription that is let in; seconds since 1970.

    Of each feature, the first grant holds that has not expired.
    """

    period: str  # hex of its id
    start: float
    end: float
    plan: str
    features: dict[str, tuple[Granted, ...]] = {}
    units: dict[str, Quota] = {}

    def granted(self, key: str, at: float) -> Granted | None:
        """What holds of a feature at a time; None when it is not there."""
        for grant in self.features.get(key, ()):
            if grant.until is None or at < grant.until:
                return grant if grant.is_enabled else None
        return None


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """A customer and the periods of its subscriptions, the earliest subscription first."""

    customer_id: str
    external_id: str
    spans: tuple[Span, ...] = ()

    def spans_at(self, at: float) -> list[Span]:
        return [span for span in self.spans if span.start <= at < span.end]


class Used(msgspec.Struct, frozen=True, gc=False):
    """What one running total says of a unit's use."""

    unit: str
    quantity: Decimal
    rollover: Decimal


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Standing)


def encode(standing: Standing) -> bytes:
    return _encoder.encode(standing)


def decode(value: bytes) -> Standing:
    """Raises MsgspecError for what another release has written."""
    return _decoder.decode(value)


def written_use(unit: str, quantity: str, rollover: str) -> bytes:
    """The use of a total as it is stored: plain numbers, so that nothing is rounded."""
    return f"{unit} {quantity} {rollover}".encode()


def use_in(value: bytes) -> Used:
    """Raises ValueError or ArithmeticError for what is no use."""
    unit, quantity, rollover = value.decode().split(" ")
    return Used(unit, Decimal(quantity), Decimal(rollover))


def use_field(period: str, total_id: int) -> str:
    """The field of a running total; `period` is the hex of its id."""
    return f"u:{period}:{total_id}"


def uses_in(fields: Mapping[bytes, bytes], period: str) -> list[Used]:
    """What the totals of one period say, from the values of a customer's hash."""
    prefix = f"u:{period}:".encode()
    return [
        use_in(value.partition(b" ")[2])
        for name, value in fields.items()
        if name.startswith(prefix)
    ]
