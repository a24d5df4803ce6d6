"""Uploads: a file is kept in pieces, its reading is started, and may be cancelled."""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import IO
from uuid import UUID

import lz4.frame
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet, Sum

from aforo.errors import Conflict, TooMany
from aforo.queue import enqueue
from aforo.tenancy.models import Tenant
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from metering.models import Upload, UploadIssue, UploadPiece
from metering.uploads import stream
from metering.uploads.preview import Preview, preview_of
from metering.uploads.reading import Reading

READ = "metering.read_upload"
PIECE = 1024 * 1024  # bytes: what a reader holds of a file, and one row of the database
MOST_BYTES = 50 * 1024 * 1024  # of a file over HTTP; `aforo import` takes any
MOST_UNPACKED = 1024 * 1024 * 1024  # bytes of a gzip file over HTTP
MOST_WAITING_BYTES = 2 * 1024 * 1024 * 1024  # of a tenant's files that are not read yet
STALE = timedelta(seconds=60)  # without a sign of life: its worker is dead
KEPT = timedelta(days=1)  # files that nobody has started, or only in a dry run
UNFINISHED = (Upload.State.QUEUED, Upload.State.PROCESSING)


def require_room(*, tenant: Tenant) -> None:
    """Raise TooMany when the tenant has more bytes waiting to be read than are kept for it."""
    unfinished = Upload.objects.for_tenant(tenant).filter(state__in=UNFINISHED)
    if (unfinished.aggregate(size=Sum("byte_count"))["size"] or 0) > MOST_WAITING_BYTES:
        raise TooMany(
            "files of this tenant wait to be read: send more a little later", retry_after=30
        )


@transaction.atomic
def receive(
    *,
    tenant: Tenant,
    file: IO[bytes],
    file_name: str,
    reading: Reading,
    actor: Actor,
    api_key_id: UUID | None = None,
    now: datetime,
    at: datetime,
) -> Upload:
    """Keep a file and have it read; Refused or UnreadableFile, and nothing of it is kept."""
    upload = keep_file(
        tenant=tenant,
        file=file,
        file_name=file_name,
        actor=actor,
        api_key_id=api_key_id,
        now=now,
        at=at,
    )
    return start(upload=upload, reading=reading, actor=actor, now=now, at=at)


@transaction.atomic
def keep_file(
    *,
    tenant: Tenant,
    file: IO[bytes],
    file_name: str,
    actor: Actor,
    api_key_id: UUID | None = None,
    now: datetime,
    at: datetime,
) -> Upload:
    """Keep a file in pieces; a draft, whose reading is to be started.

    `now` is on the tenant's clock: the rows are judged by it. `at` is on everybody's.
    Raises UnreadableFile when its format cannot be told.
    """
    pieces = partial(file.read, PIECE)
    upload = Upload.objects.create(
        tenant=tenant,
        file_name=file_name[-255:] or "file",
        format=preview_of(stream.opened(stream.Pieces(iter(pieces, b"")))).format,
        state=Upload.State.DRAFT,
        api_key_id=api_key_id,
        created_by=actor.name[:200],
        created_at=now,
        touched_at=at,
    )
    file.seek(0)
    digest, size = hashlib.sha256(), 0
    for number, piece in enumerate(iter(pieces, b"")):
        digest.update(piece)
        size += len(piece)
        body = lz4.frame.compress(piece)
        UploadPiece.objects.create(upload=upload, number=number, body=body)
    upload.sha256, upload.byte_count = digest.hexdigest(), size
    upload.save(update_fields=["sha256", "byte_count"])
    return upload


def stored(upload: Upload) -> io.BufferedReader:
    """The kept file as a stream, one piece in memory at a time."""
    return stream.opened(stream.Pieces(_pieces(upload)), most=MOST_UNPACKED)


def _pieces(upload: Upload) -> Iterator[bytes]:
    number = 0
    while body := upload.pieces.filter(number=number).values_list("body", flat=True).first():
        yield lz4.frame.decompress(bytes(body))
        number += 1


def preview(upload: Upload) -> Preview:
    """The first rows of a kept file; Conflict when it is no longer kept."""
    require_kept(upload)
    return preview_of(stored(upload))


def require_kept(upload: Upload) -> None:
    if not upload.pieces.exists():
        raise Conflict("the file is no longer kept: upload it again")


@transaction.atomic
def start(*, upload: Upload, reading: Reading, actor: Actor, now: datetime, at: datetime) -> Upload:
    """Have a kept file read: one that was not read yet, or only in a dry run.

    Raises Conflict when it was, and Refused when its columns do not give an event.
    """
    locked = lock(upload)
    is_rehearsed = locked.dry_run and locked.state not in UNFINISHED
    if locked.state != Upload.State.DRAFT and not is_rehearsed:
        raise Conflict(f"this file is {locked.get_state_display().lower()} already")
    reading.column_mapping().require(preview(locked).columns)
    begin(locked, reading, at=at)
    note_start(locked, actor=actor, now=now)
    enqueue(READ, upload_id=str(locked.pk))
    return locked


def begin(upload: Upload, reading: Reading, *, at: datetime) -> None:
    """Make a locked upload one of which no row was read yet."""
    UploadIssue.objects.filter(upload=upload).delete()  # any tenant: the upload's own
    for name, value in asdict(reading).items():
        setattr(upload, name, value)
    upload.state = Upload.State.QUEUED
    upload.rows_read = upload.accepted = upload.failed = 0
    upload.row_count = upload.started_at = upload.finished_at = None
    upload.error = ""
    upload.touched_at = at
    upload.save()


def note_start(upload: Upload, *, actor: Actor, now: datetime) -> None:
    about = {"sha256": upload.sha256, "dry_run": upload.dry_run, "backfill": upload.backfill}
    audit.record(
        tenant=upload.tenant_id,
        actor=actor,
        action="UPLOAD_STARTED",
        target=upload,
        now=now,
        changes=audit.differences({}, about),
    )


@transaction.atomic
def cancel(*, upload: Upload, actor: Actor, now: datetime, at: datetime) -> Upload:
    """Read no further. What was read stays counted; Conflict when it was read to the end."""
    locked = lock(upload)
    if locked.state not in (*UNFINISHED, Upload.State.DRAFT):
        raise Conflict("this file has been read to its end")
    finish(locked, at=at, error=f"cancelled by {actor.name}")
    audit.record(
        tenant=locked.tenant_id, actor=actor, action="UPLOAD_CANCELLED", target=locked, now=now
    )
    return locked


def finish(upload: Upload, *, at: datetime, error: str = "") -> None:
    """Close a locked upload. Its file goes, unless it was a dry run of it."""
    states = Upload.State
    if upload.accepted == 0:
        upload.state = states.FAILED
    else:
        upload.state = states.PARTIAL if upload.failed or error else states.COMPLETED
    upload.error = error
    upload.finished_at = upload.touched_at = at
    upload.save()
    if not upload.dry_run:
        upload.pieces.all().delete()


def lock(upload: Upload) -> Upload:
    """The upload as it stands, locked until the caller's transaction ends."""
    found: Upload = (
        Upload.objects.for_tenant(upload.tenant_id).select_for_update().get(pk=upload.pk)
    )
    return found


def sweep(*, now: datetime) -> None:
    """Resume what a dead worker has left, and forget files that nobody started within a day."""
    for upload_id in (
        _kept()
        .filter(state__in=UNFINISHED, touched_at__lt=now - STALE)
        .values_list("pk", flat=True)
    ):
        enqueue(READ, upload_id=str(upload_id))
    old = _kept().exclude(state__in=UNFINISHED).filter(touched_at__lt=now - KEPT)
    UploadPiece.objects.filter(upload__in=old).delete()  # any tenant: all that are old


def _kept() -> QuerySet[Upload]:
    """Uploads whose file is here; those of `aforo import` stay where they are."""
    pieces = UploadPiece.objects.filter(upload=OuterRef("pk"))  # any tenant: of the row
    return Upload.objects.filter(Exists(pieces))  # any tenant: a sweep
