"""What a body holds: its events, each as it is or mended, and the array that is stored of them."""

from metering.ingest import events, normalising
from metering.ingest.events import HEARTBEAT, Event, Refusal
from metering.ingest.normalising import Cover
from metering.ingest.translation import Translation

_HEARTBEAT = HEARTBEAT.encode()


def opened(translation: Translation, cover: Cover) -> tuple[bytes, list[Event | Refusal]]:
    """The array to store, which is the one that came if nothing had to be mended, and its events.

    Raises Unreadable (400) or TooLarge (413).
    """
    array, foreseen = translation.array, translation.refused
    is_risky = normalising.is_suspect(array)
    # Plain events of our own spelling are decoded all at once: a sixth of the time of mending.
    if not foreseen and not is_risky and _HEARTBEAT not in array:
        decoded = events.decode_all(array)
        if decoded is not None and (cover.is_blank or len(decoded) != 1):
            return array, decoded
    raws = events.split(array)
    if len(raws) != 1:
        cover = cover.of_several()
    mended = [
        (normalising.kept(bytes(raw)), foreseen[index])
        if index in foreseen
        else _mended(bytes(raw), cover, is_risky)
        for index, raw in enumerate(raws)
    ]
    return events.join([raw for raw, _ in mended]), [event for _, event in mended]


def _mended(raw: bytes, cover: Cover, is_risky: bool) -> tuple[bytes, Event | Refusal]:
    """One event in our spelling, its unknown fields folded; a refused one keeps its own JSON."""
    folded = normalising.fold(raw, cover=cover, is_risky=is_risky)
    if isinstance(folded, Refusal):
        return normalising.kept(raw), folded
    return folded, events.decode_one(folded)
