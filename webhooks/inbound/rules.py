"""One rule of a source: which payloads make events of which metric, and where each field is."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from decimal import Decimal, DecimalException
from email.utils import parsedate_to_datetime
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import msgspec

from aforo.money import exact, plain
from metering.ingest.events import Refusal
from metering.ingest.gates import MAX_METADATA_BYTES
from webhooks.inbound.paths import Search, text_of

_NUMBER = re.compile(r"-?\d{1,100}(\.\d{1,100})?", re.ASCII)
_SECONDS = re.compile(r"\d{1,20}(\.\d{1,20})?", re.ASCII)
_MAIL_TIME = re.compile(r"[A-Z][a-z]{2}, \d")
_SECONDS_END = 100_000_000_000  # smaller numbers are seconds since 1970, larger ones milliseconds
_encoder = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class Rule:
    """Where the fields of an event are; an empty `event_types` is every type."""

    event_types: tuple[str, ...] = ()
    items: str = ""
    customer: str = ""
    customer_default: str = ""
    metric: str = ""
    metric_default: str = ""
    quantity: str = ""
    quantity_default: Decimal | None = None
    quantity_scale: Decimal = Decimal(1)
    occurred_at: str = ""
    event_key: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


def is_of(kind: str, patterns: tuple[str, ...]) -> bool:
    """Whether a type is one of these; `*` in a pattern stands for anything, none is any type."""
    return not patterns or any(fnmatchcase(kind, pattern) for pattern in patterns)


def events_by(
    rule: Rule, payload: object, search: Search, *, source_metric: str
) -> Iterator[dict[str, object] | Refusal]:
    """The event of each item, with the key that the rule finds for it, if it names any."""
    items = search.all_found(payload, rule.items) if rule.items else [payload]
    for item in _unrolled(items):
        search.make_event()
        at = partial(search.said, payload=payload, item=item)
        yield _event(rule, at, source_metric)


def _unrolled(found: list[object]) -> list[Any]:
    """A path to a list means its items, as if it ended in `[*]`."""
    return found[0] if len(found) == 1 and isinstance(found[0], list) else found


def _event(
    rule: Rule, at: Callable[[str], object | None], source_metric: str
) -> dict[str, object] | Refusal:
    customer = text_of(at(rule.customer)) or rule.customer_default
    if not customer:
        return Refusal("INVALID_EVENT", f"there is no customer at {rule.customer or 'any path'}")
    metric = text_of(at(rule.metric)) or rule.metric_default or source_metric
    if not metric:
        return Refusal("INVALID_EVENT", f"there is no metric at {rule.metric or 'any path'}")
    quantity = _quantity(rule, at(rule.quantity))
    if isinstance(quantity, Refusal):
        return quantity
    occurred = moment(at(rule.occurred_at))
    key = text_of(at(rule.event_key))
    return {
        "customerId": customer,
        "metricName": metric,
        "quantity": quantity,
        **({"idempotencyKey": key} if key else {}),
        **({} if occurred is None else {"occurredAt": occurred}),
        **_metadata({name: at(where) for name, where in rule.metadata.items()}),
    }


def _quantity(rule: Rule, value: object | None) -> Decimal | Refusal:
    """The number there, else the default, times the scale, exactly; 1 where no path is named."""
    if value is None and rule.quantity_default is not None:
        return _plain(rule.quantity_default)
    if value is None and not rule.quantity:
        value = 1
    if value is None:
        return Refusal("MISSING_FIELD", f"there is no quantity at {rule.quantity}")
    number = number_of(value)
    if number is None:
        return Refusal(
            "INVALID_QUANTITY", f"what is at {rule.quantity} is no number: {value!r:.100}"
        )
    try:
        with exact():
            return _plain(number * rule.quantity_scale)
    except DecimalException:
        return Refusal("INVALID_QUANTITY", "the scaled quantity has more digits than can be kept")


def number_of(value: object) -> Decimal | None:
    """A number, or a text that spells one in plain digits."""
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return Decimal(value.strip())
    return None


def _plain(number: Decimal) -> Decimal:
    return Decimal(plain(number))


def moment(value: object | None) -> object | None:
    """A time as the ingest routes take it: seconds become milliseconds, a mail's date RFC 3339."""
    if isinstance(value, str) and _SECONDS.fullmatch(value):
        value = Decimal(value) if "." in value else int(value)
    if isinstance(value, str) and _MAIL_TIME.match(value):
        try:
            return parsedate_to_datetime(value).astimezone(UTC).isoformat()
        except (ValueError, OverflowError):  # the latter beyond the year 9999
            return value
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return value
    return value * 1000 if -_SECONDS_END < value < _SECONDS_END else value


def _metadata(members: Mapping[str, object | None]) -> dict[str, object]:
    """Plain members; nothing when they are too many: the whole payload is kept anyway."""
    kept = {
        name: value
        for name, value in members.items()
        if isinstance(value, str | int | Decimal | bool)
    }
    is_small = len(_encoder.encode(kept)) <= MAX_METADATA_BYTES
    return {"metadata": kept} if kept and is_small else {}
