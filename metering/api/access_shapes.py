"""What access checks ask: the shapes of their bodies, and what may stand in them."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from aforo.errors import Refused, TooLarge, Unreadable
from metering.ingest.gates import QUANTITY_DIGITS, QUANTITY_PLACES

MOST_CHECKS = 100
MOST_BYTES = 256 * 1024


class FeatureCheck(msgspec.Struct):
    """`tenantId` names the customer here, as in the first public examples."""

    customerId: str | None = None  # noqa: N815 - the wire's spelling, here and below
    tenantId: str | None = None  # noqa: N815
    featureKey: str | None = None  # noqa: N815
    quantity: Decimal | None = None


class QuotaCheck(msgspec.Struct):
    customerId: str | None = None  # noqa: N815
    metricName: str | None = None  # noqa: N815
    estimatedQuantity: Decimal | None = None  # noqa: N815


class MarginCheck(msgspec.Struct):
    scopeId: str | None = None  # noqa: N815
    scopeType: str = "CUSTOMER"  # noqa: N815
    metricName: str | None = None  # noqa: N815


class FeatureChecks(msgspec.Struct):
    checks: list[FeatureCheck]
    customerId: str | None = None  # noqa: N815
    tenantId: str | None = None  # noqa: N815


class QuotaChecks(msgspec.Struct):
    checks: list[QuotaCheck]
    customerId: str | None = None  # noqa: N815


class MarginChecks(msgspec.Struct):
    checks: list[MarginCheck]
    tenantId: str | None = None  # noqa: N815


feature_check = msgspec.json.Decoder(FeatureCheck)
feature_checks = msgspec.json.Decoder(FeatureChecks)
quota_check = msgspec.json.Decoder(QuotaCheck)
quota_checks = msgspec.json.Decoder(QuotaChecks)
margin_checks = msgspec.json.Decoder(MarginChecks)


def read(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    """Raises Unreadable for what is no JSON, Refused for JSON of another shape."""
    if not body:
        raise Unreadable("the body is empty")
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Refused(f"the body is not what is asked for: {error}") from None
    except (msgspec.DecodeError, ValueError, ArithmeticError):
        raise Unreadable("the body is no JSON") from None


def body_of(environ: Mapping[str, Any]) -> bytes:
    """The body that a web server has read; TooLarge beyond `MOST_BYTES`."""
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isdigit():
        raise Unreadable("Content-Length is no number")
    if not int(length) and environ.get("HTTP_TRANSFER_ENCODING"):
        length = str(MOST_BYTES + 1)  # a chunked body tells no length
    body: bytes = environ["wsgi.input"].read(min(int(length), MOST_BYTES + 1))
    return bounded(body)


def bounded(body: bytes) -> bytes:
    """The same body; TooLarge when it is."""
    if len(body) > MOST_BYTES:
        raise TooLarge(f"the body is over {MOST_BYTES} bytes")
    return body


def names(given: Sequence[str | None]) -> list[str]:
    """Who is asked for; Refused when that is left open."""
    found = [name for name in given if name]
    if len(found) < len(given):
        raise Refused.naming("customerId", "REQUIRED", "say whose access is asked for")
    return found


def quantity(field: str, value: Decimal | None, *, absent: int) -> Decimal:
    """As large and as fine as a quantity of usage may be."""
    if value is None:
        return Decimal(absent)
    if value.is_finite() and value.adjusted() < QUANTITY_DIGITS and value >= 0:
        exponent = value.as_tuple().exponent
        if isinstance(exponent, int) and exponent >= -QUANTITY_PLACES:
            return value
    reason = f"not negative, {QUANTITY_DIGITS} digits before and {QUANTITY_PLACES} after the point"
    raise Refused.naming(field, "INVALID", reason)


def checks(given: list[Any]) -> list[Any]:
    """No more at once than one call may ask."""
    if not 1 <= len(given) <= MOST_CHECKS:
        raise Refused.naming("checks", "INVALID", f"1 to {MOST_CHECKS} in one call")
    return given
