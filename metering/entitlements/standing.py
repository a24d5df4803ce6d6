"""What a customer may do, as access checks find it in Redis: by period, so that time decides.

These values are stored as MessagePack and read by position.
"""

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
    `per_rolled` to it. `is_limited`: somebody may be denied more of it, so its use is kept here.
    """

    unit: str  # hex of its id
    metric: str
    cap: Decimal | None = None
    per_rolled: Decimal = Decimal(1)
    is_limited: bool = False


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
        grant = self.said(key, at)
        return grant if grant is not None and grant.is_enabled else None

    def said(self, key: str, at: float) -> Granted | None:
        """The same, also where it says that the feature is switched off."""
        for grant in self.features.get(key, ()):
            if grant.until is None or at < grant.until:
                return grant
        return None


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """A customer and the periods of its subscriptions, the earliest subscription first."""

    customer_id: str
    external_id: str
    spans: tuple[Span, ...] = ()

    def spans_at(self, at: float) -> list[Span]:
        return [span for span in self.spans if span.start <= at < span.end]


class Used(msgspec.Struct, frozen=True, gc=False):
    """How much of a unit was used in a period, and rolled over into it."""

    quantity: Decimal
    rollover: Decimal


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Standing)


def encode(standing: Standing) -> bytes:
    return _encoder.encode(standing)


def decode(value: bytes) -> Standing:
    """Raises MsgspecError for what another release has written."""
    return _decoder.decode(value)


def written_use(quantity: str, rollover: str) -> bytes:
    """A use as it is stored: plain numbers, so that nothing is rounded."""
    return f"{quantity} {rollover}".encode()


def use_in(value: bytes) -> Used:
    """Raises ValueError or ArithmeticError for what is no use."""
    quantity, rollover = value.decode().split(" ")
    return Used(Decimal(quantity), Decimal(rollover))


def use_field(period: str, unit: str) -> str:
    """The field of a unit's use in a period; both are the hex of their ids."""
    return f"u:{period}:{unit}"
