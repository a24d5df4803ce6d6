"""Questions about uploads: which there are, what became of their rows, which rows were refused."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Q

from aforo.tenancy.models import Tenant, TenantQuerySet
from metering.models import DeadLetter, Receipt, Upload, UploadBatch, UploadIssue

ISSUES_AT_A_TIME = 2_000
_FATE = """
    SELECT coalesce(sum(r.counted), 0),
           coalesce(sum(r.unbilled), 0), coalesce(sum(r.duplicates), 0),
           coalesce(sum(r.held), 0), coalesce(sum(r.dead), 0),
           coalesce((SELECT u.rows_read FROM uploads u WHERE u.id = %s AND NOT u.dry_run), 0)
             - coalesce(sum(r.event_count), 0)
    FROM upload_batches b JOIN receipts r ON r.batch_id = b.batch_id WHERE b.upload_id = %s
"""


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of the rows that were read; `waiting` are those that no drain has met yet."""

    counted: int = 0
    unbilled: int = 0
    duplicates: int = 0
    held: int = 0
    dead: int = 0
    waiting: int = 0


class RefusedRow(NamedTuple):
    """One line of the report; `row` counts from 1, the heading is none."""

    row: int
    code: str
    detail: str
    content: str


def uploads(*, tenant: Tenant) -> TenantQuerySet:
    """All uploads of a tenant, the newest first."""
    return Upload.objects.for_tenant(tenant).order_by("-created_at", "-id")


def key_of_batch(*, tenant: Tenant, batch_id: UUID, received_at: datetime) -> UUID | None:
    """With which key the file came that this batch is of, and which arrived at that moment."""
    files = Upload.objects.for_tenant(tenant).filter(created_at=received_at)
    own = files.filter(batches__batch_id=batch_id).values_list("api_key_id", flat=True)
    key_id: UUID | None = own.first()
    return key_id


def fate_of(upload: Upload) -> Fate:
    """What the receipts of its batches say."""
    with connection.cursor() as cursor:
        cursor.execute(_FATE, (upload.pk, upload.pk))
        return Fate(*map(int, cursor.fetchone()))


def report_of(upload: Upload) -> Iterator[RefusedRow]:
    """The rows that were refused, in order, in constant memory.

    Those that reading refused, and those that counting refused: by then an unknown customer, a
    missing subscription, a key with other content are known.
    """
    batches = UploadBatch.objects.filter(upload=upload).order_by("first_row")  # any tenant: its own
    spans = [(batch.first_row, batch.batch_id) for batch in batches]
    if not spans:
        yield from _issues(upload, Q())
        return
    for (first, batch_id), (end, _) in zip(spans, [*spans[1:], (None, None)], strict=True):
        within = Q(row__gt=first) if end is None else Q(row__gt=first, row__lte=end)
        found = {issue.row: issue for issue in _issues(upload, within)}
        found |= {row.row: row for row in _refused_later(first, batch_id) if row.row not in found}
        yield from (found[row] for row in sorted(found))


def _issues(upload: Upload, within: Q) -> Iterator[RefusedRow]:
    own = UploadIssue.objects.filter(upload=upload)  # any tenant: the upload's own
    issues = own.filter(within).order_by("row")
    columns = issues.values_list("row", "code", "detail", "content")
    for issue in columns.iterator(chunk_size=ISSUES_AT_A_TIME):
        yield RefusedRow._make(issue)


def _refused_later(first: int, batch_id: UUID) -> Iterator[RefusedRow]:
    receipts = Receipt.objects.filter(batch_id=batch_id)  # any tenant: of the upload's batch
    refusals = receipts.values_list("refusals", flat=True).first() or []
    if not refusals:
        return
    letters = DeadLetter.objects.filter(batch_id=batch_id)  # any tenant: of the upload's batch
    told = {letter.batch_index: letter for letter in letters.defer("edited")}
    for index, code in refusals:
        letter = told.get(index)
        detail = letter.detail if letter else ""
        content = bytes(letter.event).decode(errors="replace") if letter else ""
        yield RefusedRow(first + index + 1, code, detail, content)
