"""Compound bodies: one request that was measured several ways becomes one event per measurement."""

from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import blake2b

import msgspec

from catalog import aliases
from metering.ingest import events
from metering.ingest.envelopes import NULL, has
from metering.ingest.events import Fields, Refusal, fields_of
from metering.ingest.translation import Translation

_measurements = msgspec.json.Decoder(list[Fields])


def split(body: bytes, *, idempotency_key: str | None = None) -> Translation:
    """The events of compounds, each in its place; what is no compound is left as it is.

    `idempotency_key` (from the request's header) is the base of the keys of a single compound.
    Raises Unreadable (400) or TooLarge (413).
    """
    compounds = events.split(events.event_array(body))
    base = idempotency_key if len(compounds) == 1 else None
    raws: list[bytes | msgspec.Raw] = []
    refused: dict[int, Refusal] = {}
    together: list[range] = []
    for compound in compounds:
        found = _measured(compound, base)
        if isinstance(found, Refusal):
            refused[len(raws)] = found
            raws.append(compound)
            continue
        together.append(range(len(raws), len(raws) + len(found)))
        raws += found
    return Translation(events.join(raws), refused, tuple(together))


def refuse_together(refused: dict[int, Refusal], together: Iterable[range]) -> None:
    """Refuse every event of a compound of which one is refused: all of it counts, or nothing."""
    for compound in together:
        cause = next((refused[index] for index in compound if index in refused), None)
        if cause is None:
            continue
        why = Refusal(
            "COMPOUND_REFUSED", f"another measurement of its compound was refused: {cause.detail}"
        )
        refused |= {index: refused.get(index, why) for index in compound}


def _measured(compound: msgspec.Raw, header: str | None) -> list[bytes] | Refusal:
    """The events of one compound, or itself when it is a plain event."""
    shared = fields_of(compound)
    if isinstance(shared, Refusal) or "measurements" not in shared:
        return [bytes(compound)]
    try:
        measurements = _measurements.decode(shared.pop("measurements"))
        own = _text(shared, "idempotencyKey")
        base = own or header or _text(shared, "correlationId")
        if own:
            del shared["idempotencyKey"]  # that of none of them, but the beginning of each
        found = list(_events(shared, measurements, base))
    except (msgspec.DecodeError, RecursionError) as error:
        return Refusal("INVALID_EVENT", f"measurements must be a list of objects: {error}")
    return found or Refusal("INVALID_EVENT", "a compound must have at least one measurement")


def _events(shared: Fields, measurements: list[Fields], base: str | None) -> Iterator[bytes]:
    """Each measurement with what all share; its own fields and metadata go before theirs."""
    keys: Counter[str] = Counter()
    for measured in measurements:
        event = shared | measured
        if has(shared, "metadata") and has(measured, "metadata"):
            event["metadata"] = _merged(shared["metadata"], measured["metadata"])
        if base and not has(measured, "idempotencyKey"):
            parts = (base, *(_text(measured, name) for name in ("metricName", "dimensionKey")))
            key = ":".join(_shown(part) for part in parts if part)
            keys[key] += 1  # two measurements alike are two events all the same
            key = key if keys[key] == 1 else f"{key}#{keys[key]}"
            event["idempotencyKey"] = msgspec.Raw(msgspec.json.encode(key))
        yield msgspec.json.encode(event)


def _merged(shared: msgspec.Raw, own: msgspec.Raw) -> msgspec.Raw:
    """Metadata of both; of another shape than an object it is refused at its gate."""
    first, second = fields_of(shared), fields_of(own)
    if isinstance(first, Refusal) or isinstance(second, Refusal):
        return own
    return msgspec.Raw(msgspec.json.encode(first | second))


def _text(fields: Fields, name: str) -> str | None:
    """A text or number among the fields as text; None for anything else."""
    raw = bytes(fields.get(name, NULL))
    if raw.startswith(b'"'):
        text: str = msgspec.json.decode(raw)
        return text
    return raw.decode() if raw[:1] in b"-0123456789" else None


def _shown(part: str) -> str:
    """A part of a key, which must not hold a credential in its middle."""
    return blake2b(part.encode(), digest_size=16).hexdigest() if aliases.is_secret(part) else part
