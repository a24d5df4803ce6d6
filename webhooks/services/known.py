"""Sources as the door knows them: as they were when last read, until their row is another one.

The statement that keeps a push asks whether the row is still the one that was read, so that no
change of a source, in whatever process, is overlooked by a push that passes. One that would be
refused is judged by the row as it is.
"""

import time
from dataclasses import dataclass, replace
from uuid import UUID

from django.db.models.expressions import RawSQL

from aforo.errors import NotFound
from webhooks.models import WebhookSource
from webhooks.selectors import open_sources

SECONDS = 30.0  # a changed limit keeps nobody out for longer
MAX_SOURCES = 10_000
VERSION_SQL = "(s.xmin::text || s.ctid::text)"  # of the row `s`, which each change replaces
_VERSION = RawSQL(VERSION_SQL.replace("s.", "webhook_sources."), ())  # noqa: S611 - our own words


@dataclass(frozen=True, slots=True)
class KnownSource:
    """A source with its tenant. `version` is that of its row, which each change of it replaces."""

    row: WebhookSource
    version: str
    read_at: float
    is_fresh: bool = True  # read for the one who asks


_known: dict[UUID, KnownSource] = {}


def source_of(source_id: UUID) -> KnownSource:
    """The source; raises NotFound for one that may not push."""
    known = _known.get(source_id)
    if known is not None and time.monotonic() - known.read_at < SECONDS:
        return known
    row = open_sources().annotate(version=_VERSION).filter(pk=source_id).first()
    if row is None:
        forget(source_id)
        raise NotFound(f"there is no webhook source {source_id}")
    if len(_known) >= MAX_SOURCES:
        _known.clear()
    fresh = KnownSource(row, row.version, time.monotonic())
    _known[source_id] = replace(fresh, is_fresh=False)
    return fresh


def forget(source_id: UUID) -> None:
    """It may have changed: read it again for the next one who asks."""
    _known.pop(source_id, None)
