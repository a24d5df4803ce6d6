"""Reading a file: first to its end, so that a broken one counts nothing, then chunk by chunk.

Each chunk goes into the inbox in the transaction that notes how far the file was read. Whoever
dies anywhere in here is followed by somebody who goes on there; no row goes in twice.
"""

import io
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F

from aforo.ids import new_id
from aforo.queue import enqueue
from catalog.selectors.key_customers import customer_of_key
from metering.ingest import inbox, wake
from metering.ingest.events import Refusal
from metering.models import Upload, UploadBatch, UploadIssue
from metering.services import partitions, uploads
from metering.uploads import checking, formats
from metering.uploads.checking import Checked, Gates
from metering.uploads.chunks import Chunk, chunks_of
from metering.uploads.reading import reading_of
from metering.uploads.rows import UnreadableFile

MOST_WAITING = 100_000  # events of a tenant in the inbox, beyond which its files wait: 5 merges
SLICE = 5.0  # seconds of a worker for one file at a time; then others have their turn
PAUSE = 2  # seconds until a file that waits for the drain is looked at again
MOST_ISSUES = 100_000  # rows that the report names; more are only counted
ALIVE = timedelta(seconds=PAUSE / 2)  # since a sign of life: somebody else waits for this file
TOLD_EVERY = 50_000  # rows of the first reading
_WAITING = "SELECT coalesce(sum(event_count), 0) FROM inbox_batches WHERE tenant_id = %s"

Told = Callable[[str, int], None]
"""Is told what goes on, "checking" or "reading", and how many rows of it are done."""


class TakenOver(Exception):
    """Somebody else reads this file, or it was cancelled."""


def read_on(*, upload_id: UUID, clock: Callable[[], datetime]) -> None:
    """Read a kept file for some seconds, and ask to be called again while rows are left.

    May run twice, at once or again: each chunk looks under a lock how far the file was read.
    """
    uploads_by_id = Upload.objects.select_related("tenant")  # any tenant: our own id
    upload = uploads_by_id.filter(pk=upload_id, state__in=uploads.UNFINISHED).first()
    if upload is None or not upload.pieces.exists():
        return
    is_waited_for = upload.row_count is not None and clock() - _touched(upload) < ALIVE
    rows_before = upload.rows_read
    ends_at = time.monotonic() + SLICE
    is_done = read(
        upload,
        open_file=partial(uploads.stored, upload),
        clock=clock,
        may_go_on=lambda: time.monotonic() < ends_at and _has_room(upload),
    )
    if is_done:
        return
    if _has_room(upload):
        enqueue(uploads.READ, upload_id=str(upload_id))
    elif upload.rows_read > rows_before or not is_waited_for:
        _note(upload, touched_at=clock())
        enqueue(uploads.READ, countdown=PAUSE, upload_id=str(upload_id))


def _touched(upload: Upload) -> datetime:
    """The last sign of life; whoever waits for room gives one every `PAUSE`."""
    return upload.touched_at or upload.created_at


def read(
    upload: Upload,
    *,
    open_file: Callable[[], io.BufferedReader],
    clock: Callable[[], datetime],
    may_go_on: Callable[[], bool],
    told: Told = lambda _step, _rows: None,
) -> bool:
    """Read a file on from where it stands; False when `may_go_on` stopped it before its end."""
    try:
        if upload.row_count is None:
            _check_to_the_end(upload, open_file(), clock, told)
        with open_file() as file:
            return _read_rows(upload, file, clock, may_go_on, told)
    except UnreadableFile as error:
        _finish(upload, clock(), error=error.detail)
    except TakenOver:
        pass
    return True


def waiting(upload: Upload) -> int:
    """Events of the upload's tenant that wait to be counted."""
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, (upload.tenant_id,))
        return int(cursor.fetchone()[0])


def _has_room(upload: Upload) -> bool:
    return upload.dry_run or waiting(upload) < MOST_WAITING


def _check_to_the_end(
    upload: Upload, file: io.BufferedReader, clock: Callable[[], datetime], told: Told
) -> None:
    """Read the whole file once before a row counts: one that breaks off shall count nothing."""
    _note(upload, state=Upload.State.PROCESSING, started_at=clock(), touched_at=clock())
    count = 0
    with file:
        for count, _ in enumerate(formats.rows(file, upload.format), start=1):
            if count % TOLD_EVERY == 0:
                told("checking", count)
                _note(upload, touched_at=clock())
    _note(upload, row_count=count, touched_at=clock())


def _note(upload: Upload, **fields: object) -> None:
    """Write down how far it is, unless somebody has finished it."""
    unfinished = Upload.objects.for_tenant(upload.tenant_id).filter(
        pk=upload.pk, state__in=uploads.UNFINISHED
    )
    if not unfinished.update(**fields):
        raise TakenOver
    for name, value in fields.items():
        setattr(upload, name, value)


def _read_rows(
    upload: Upload,
    file: io.BufferedReader,
    clock: Callable[[], datetime],
    may_go_on: Callable[[], bool],
    told: Told,
) -> bool:
    mapping = reading_of(upload).column_mapping(file_digest=upload.sha256)
    owner = customer_of_key(upload.api_key_id) if upload.api_key_id else None
    gates = Gates(
        upload.tenant,
        received_at=upload.created_at,
        backfill=upload.backfill,
        customer_id=owner.pk if owner else None,
    )
    months = _Months()
    for chunk in chunks_of(formats.rows(file, upload.format), mapping, first=upload.rows_read):
        if not may_go_on():
            return False
        checked = gates.check(chunk)
        if upload.dry_run:
            checked.refused.update(gates.rehearse(checked, len(chunk.rows)))
        elif upload.backfill:
            months.make(checked)
        _take(upload, chunk, checked, clock())
        told("reading", upload.rows_read)
    _finish(upload, clock())
    return True


class _Months:
    """The months whose partitions a backfill has made or found."""

    def __init__(self) -> None:
        self._made: tuple[datetime, datetime] | None = None

    def make(self, checked: Checked) -> None:
        """See that every month from the first to the last event has a partition."""
        if checked.occurred is None:
            return
        first, last = checked.occurred
        if self._made is not None:
            if self._made[0] <= first and last <= self._made[1]:
                return
            first, last = min(first, self._made[0]), max(last, self._made[1])
        partitions.make_between(first, last)
        self._made = (first, last)


@transaction.atomic
def _take(upload: Upload, chunk: Chunk, checked: Checked, at: datetime) -> None:
    """Put one chunk into the inbox and note that it was read, both or neither."""
    failed = len(checked.refused)
    mine = Upload.objects.for_tenant(upload.tenant_id).filter(
        pk=upload.pk, state=Upload.State.PROCESSING, rows_read=chunk.first
    )
    if not mine.update(
        rows_read=chunk.after,
        accepted=F("accepted") + len(chunk.rows) - failed,
        failed=F("failed") + failed,
        touched_at=at,
    ):
        raise TakenOver
    if failed and upload.failed < MOST_ISSUES:
        UploadIssue.objects.bulk_create(
            _issue(upload, chunk, index, why) for index, why in sorted(checked.refused.items())
        )
    if not upload.dry_run:
        _put(upload, chunk, checked)
    upload.rows_read = chunk.after
    upload.accepted += len(chunk.rows) - failed
    upload.failed += failed


def _issue(upload: Upload, chunk: Chunk, index: int, why: Refusal) -> UploadIssue:
    return UploadIssue(
        upload=upload,
        row=chunk.first + index + 1,
        code=why.code,
        detail=why.detail.replace("\x00", ""),
        content=chunk.content(index),
    )


def _put(upload: Upload, chunk: Chunk, checked: Checked) -> None:
    batch_id = new_id()
    UploadBatch.objects.create(upload=upload, first_row=chunk.first, batch_id=batch_id)
    inbox.put(
        batch_id=batch_id,
        tenant_id=upload.tenant_id,
        source=checking.SOURCE,
        door=checking.DOOR,
        received_at=upload.created_at,
        event_count=len(chunk.rows),
        refused=checked.refused,
        array=checked.array,
        customer_id=checked.customer_id,
    )
    wake.after_commit(upload.tenant_id)


@transaction.atomic
def _finish(upload: Upload, at: datetime, *, error: str = "") -> None:
    locked = uploads.lock(upload)
    if locked.state in uploads.UNFINISHED:
        uploads.finish(locked, at=at, error=error)
    upload.__dict__.update(state=locked.state, error=locked.error, finished_at=locked.finished_at)
