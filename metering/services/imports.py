"""Files that stay where they are: `aforo import` reads them in its own process, of any size."""

from datetime import datetime

from django.db import transaction

from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from metering.models import Upload
from metering.services import uploads
from metering.services.uploads import UNFINISHED
from metering.uploads.preview import Preview
from metering.uploads.reading import Reading, reading_of


@transaction.atomic
def begin_or_resume(
    *,
    tenant: Tenant,
    file_name: str,
    size: int,
    sha256: str,
    preview: Preview,
    reading: Reading,
    actor: Actor,
    now: datetime,
    at: datetime,
) -> Upload:
    """The unfinished import of the same bytes read the same way, else a new one.

    Refused when the columns of the file do not give an event.
    """
    reading.column_mapping().require(preview.columns)
    same = Upload.objects.for_tenant(tenant).filter(
        sha256=sha256, state__in=UNFINISHED, pieces=None, created_by=actor.name
    )
    unfinished: list[Upload] = list(same.select_for_update(of=("self",)).order_by("created_at"))
    for upload in unfinished:
        if reading_of(upload) == reading:
            return upload
    upload = Upload.objects.create(
        tenant=tenant,
        file_name=file_name[-255:],
        format=preview.format,
        byte_count=size,
        sha256=sha256,
        created_by=actor.name,
        created_at=now,
    )
    uploads.begin(upload, reading, at=at)
    uploads.note_start(upload, actor=actor, now=now)
    return upload
