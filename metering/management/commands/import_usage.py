"""Read a file of usage of any size; run again after a break, it goes on where it stopped."""

import hashlib
import io
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from aforo.errors import AforoError
from aforo.tenancy import clock
from aforo.tenancy.models import Tenant
from aforo.tenancy.selectors import tenant_called
from aforo.tenancy.services.actors import Actor
from metering.models import Upload
from metering.services import imports, upload_reading
from metering.uploads import preview, stream
from metering.uploads.reading import Reading

PIECE = 4 * 1024 * 1024
LOOK_AGAIN = 0.2  # seconds between looks at an inbox that is full


class Command(BaseCommand):
    help = "Read a file of usage: CSV, NDJSON, a JSON array or XML, also as gzip."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--tenant", default="", help="slug or id; the only one when left out")
        parser.add_argument("--map", dest="columns", action="append", default=[])
        parser.add_argument("--metric", default="", help="of rows that name none")
        parser.add_argument("--customer", default="", help="of rows that name none")
        parser.add_argument("--dry-run", action="store_true", help="check each row, count none")
        parser.add_argument("--backfill", action="store_true", help="take what is over 90 days old")

    def handle(
        self,
        *,
        file: Path,
        tenant: str,
        columns: Sequence[str],
        metric: str,
        customer: str,
        dry_run: bool,
        backfill: bool,
        **_: object,
    ) -> None:
        reading = Reading(_mapping(columns), metric, customer, dry_run, backfill)
        try:
            self._import(file, _tenant(tenant), reading)
        except (AforoError, OSError) as error:
            raise CommandError(getattr(error, "detail", str(error))) from None
        except KeyboardInterrupt:
            raise CommandError("stopped; run the same command again to go on") from None

    def _import(self, path: Path, tenant: Tenant, reading: Reading) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:.0f}%"),
        )
        console = Console(file=self.stdout)  # type: ignore[arg-type]  # it writes, as a file does
        with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
            steps = _Steps(progress, path.stat().st_size)
            sha256 = _digest(path, steps)
            with _opened(path) as file:
                seen = preview.preview_of(file)
            upload = imports.begin_or_resume(
                tenant=tenant,
                file_name=path.name,
                size=path.stat().st_size,
                sha256=sha256,
                preview=seen,
                reading=reading,
                actor=Actor.system("aforo import"),
                now=clock.now(tenant),
                at=timezone.now(),
            )
            upload_reading.read(
                upload,
                open_file=partial(_opened, path),
                clock=timezone.now,
                may_go_on=partial(_waited_for_room, upload, steps),
                told=partial(steps.tell, upload),
            )
        self._tell(upload)

    def _tell(self, upload: Upload) -> None:
        upload.refresh_from_db()
        rows = f"{upload.rows_read:,} rows: {upload.accepted:,} taken, {upload.failed:,} refused"
        self.stdout.write(f"upload {upload.pk} {upload.get_state_display().lower()}, {rows}")
        if upload.failed:
            self.stdout.write(f"refused rows: GET /api/v1/uploads/{upload.pk}/report, or the admin")
        if upload.state == Upload.State.FAILED:
            raise CommandError(upload.error or "no row was taken")


class _Steps:
    """The progress of each step on the screen."""

    def __init__(self, progress: Progress, size: int) -> None:
        self._progress = progress
        self._task: TaskID = progress.add_task("looking at the file", total=size or None)
        self._step = ""

    def passed(self, count: int) -> None:
        """So many more bytes of the file were looked at."""
        self._progress.advance(self._task, count)

    def tell(self, upload: Upload, step: str, rows: int) -> None:
        """So many rows are done of this step."""
        if step != self._step:
            self._step = step
            self._progress.reset(self._task, total=upload.row_count)
        self._progress.update(self._task, completed=rows, description=f"{step}: {rows:,} rows")


def _mapping(columns: Sequence[str]) -> dict[str, str]:
    told = {}
    for one in columns:
        field, separator, column = one.partition("=")
        if not separator:
            raise CommandError(f"--map {one}: write it as customerId=column")
        told[field.strip()] = column.strip()
    return told


def _tenant(name: str) -> Tenant:
    if name:
        found = tenant_called(name)
        if found is None:
            raise CommandError(f"there is no tenant {name!r}")
        return found
    live = list(Tenant.objects.filter(live_twin=None)[:2])
    if len(live) != 1:
        raise CommandError("whose usage is it? Name the tenant with --tenant")
    return live[0]


def _opened(path: Path) -> io.BufferedReader:
    return stream.opened(io.FileIO(path))


def _digest(path: Path, steps: _Steps) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            steps.passed(len(piece))
    return digest.hexdigest()


def _waited_for_room(upload: Upload, steps: _Steps) -> bool:
    """Wait while the inbox is full: a file is read as fast as its events are counted."""
    while not upload.dry_run and upload_reading.waiting(upload) >= upload_reading.MOST_WAITING:
        steps.tell(upload, "waiting for the drain", upload.rows_read)
        time.sleep(LOOK_AGAIN)
    return True
