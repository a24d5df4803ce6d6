"""What leaves by policy: months of events to Parquet, old raw bodies and receipts for good.

Keys of events never leave: an event of an archived month still is a duplicate.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from django.conf import settings
from django.db import OperationalError, connection, transaction

from aforo.errors import AforoError
from aforo.periods import add_months, month_start
from metering.archive import parquet
from metering.archive.readiness import Month, judged, months_of
from metering.archive.receipts import sum_up_receipts
from metering.archive.retirement import LOCK_SECONDS, alone, drop, retire

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Retired:
    """What has left: names of months, dropped months of raw bodies, days of receipts."""

    months: list[str] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)
    receipt_days: int = 0


class NoArchive(AforoError):
    """Months are to be archived, but nobody said where."""

    code = "NO_ARCHIVE"


def retire_by_policy(*, now: datetime) -> Retired | None:
    """Let go of what the settings do not keep; None when somebody else is at it.

    May be called again at any time: what has left is not there any more. A month that cannot leave
    is logged, and does not keep the others.
    """
    with alone() as is_mine:
        if not is_mine:
            return None
        retired = Retired(months=list(_retired_months(now)), bodies=list(_dropped_bodies(now)))
        if settings.KEEP_RECEIPTS_DAYS:
            before = now - timedelta(days=settings.KEEP_RECEIPTS_DAYS)
            retired.receipt_days = sum_up_receipts(before=before)
    return retired


def months_to_retire(*, now: datetime) -> list[Month]:
    """The months of events that are older than the policy, each with what keeps it."""
    if not settings.KEEP_EVENTS_MONTHS:
        return []
    before = add_months(month_start(now), -settings.KEEP_EVENTS_MONTHS)
    return list(judged(months_of("usage_events", before=before), now=now))


def _retired_months(now: datetime) -> Iterator[str]:
    ready = [month for month in months_to_retire(now=now) if not month.kept_by]
    if not ready:
        return
    if not settings.ARCHIVE_DIR:
        raise NoArchive("set AFORO_ARCHIVE_DIR: months of events are to be archived")
    parquet.require_parquet()
    for month in ready:
        try:
            retire(month, folder=Path(settings.ARCHIVE_DIR), now=now)
        except (AforoError, OperationalError) as error:
            log.error("month_not_archived", month=month.partition, error=str(error))  # noqa: TRY400 - what it says is enough
        else:
            yield month.partition


def _dropped_bodies(now: datetime) -> Iterator[str]:
    """Raw bodies go with the whole month in which they arrived."""
    if not settings.KEEP_RAW_MONTHS:
        return
    before = add_months(month_start(now), -settings.KEEP_RAW_MONTHS)
    for month in months_of("raw_payloads", before=before):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
            drop(month.partition, "raw_payloads")
        yield month.partition
