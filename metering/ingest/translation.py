"""How a body becomes the array of our events: as it is, or out of another wire format."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from metering.ingest import events
from metering.ingest.events import Refusal


class Translation(NamedTuple):
    """Our events as a JSON array, and by index what could not be translated.

    In the place of such an event stands what was sent, so that its dead letter holds that. Of the
    events in one range of `together`, all are counted or none.
    """

    array: bytes
    refused: Mapping[int, Refusal]
    together: tuple[range, ...] = ()


# Raises Unreadable (400) when the body is not of its format at all, or TooLarge (413).
Translate = Callable[[bytes], Translation]


def untranslated(body: bytes) -> Translation:
    """A body of our own wire format."""
    return Translation(events.event_array(body), {})
