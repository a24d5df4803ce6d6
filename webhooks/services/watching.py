"""Whether sources work: told once when one fails again and again, and once when it works again."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction

from aforo.outbox.services import publish
from aforo.tenancy import clock
from webhooks.models import WebhookSource
from webhooks.services.pushes import Verdict

FAILURES = 5  # in a row: a sender that mends its secret by itself needs no alarm
DEAD = "DEAD_LETTERS"  # mapped, and not one of its events counted
FAILED = (Verdict.UNMAPPED, Verdict.UNREADABLE, Verdict.BAD_SIGNATURE, Verdict.STALE, DEAD)
_SETTLES = timedelta(seconds=15)  # what was mapped since may not be counted yet
_LOST = timedelta(days=1)  # a receipt that is not there by then comes no more

# The newest pushes of each source that is open, by an index, and what the events of each came to in
# all of its batches, by the key of receipts: the cost is that of the sources. A replay of what has
# counted may give dead letters alone; that is no failure of the source.
_LATEST = """
    SELECT s.id, s.failing_since, latest.verdicts, latest.details
    FROM webhook_sources s CROSS JOIN LATERAL (
        SELECT array_agg(
                   CASE WHEN came.has_counted THEN d.verdict
                        WHEN came.is_waiting AND d.mapped_at > %(lost)s THEN 'RECEIVED'
                        WHEN NOT came.is_waiting THEN 'DEAD_LETTERS'
                        ELSE d.verdict END ORDER BY d.id DESC) AS verdicts,
               array_agg(
                   CASE WHEN NOT came.has_counted AND NOT came.is_waiting
                        THEN 'all of its events are dead letters: ' || came.why
                        ELSE d.detail END ORDER BY d.id DESC) AS details
        FROM (SELECT id, verdict, detail, mapped_at,
                     CASE WHEN verdict = 'ACCEPTED' AND batch_id IS NOT NULL
                          THEN batch_id || later_batches END AS batches
              FROM webhook_deliveries
              WHERE source_id = s.id AND verdict <> 'RECEIVED'
                AND (verdict <> 'ACCEPTED' OR batch_id IS NULL OR mapped_at < %(settled)s)
              ORDER BY id DESC LIMIT %(failures)s) d
        CROSS JOIN LATERAL (
            SELECT bool_or(r.dead < r.event_count) AS has_counted,
                   bool_or(r.batch_id IS NULL) AS is_waiting,
                   (array_agg(r.refusals -> 0 ->> 1 ORDER BY b.number DESC))[1] AS why
            FROM unnest(d.batches) WITH ORDINALITY AS b (id, number)
            LEFT JOIN receipts r ON r.batch_id = b.id
        ) came
    ) latest
    WHERE s.archived_at IS NULL AND latest.verdicts IS NOT NULL
    ORDER BY s.id
"""


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest pushes of a source, the newest first."""

    source_id: UUID
    failing_since: datetime | None
    verdicts: list[str]
    details: list[str]

    @property
    def turned(self) -> bool:
        """Whether it fails by now and did not, or works again."""
        if self.failing_since is not None:
            return self.verdicts[0] not in (*FAILED, Verdict.RECEIVED)
        return len(self.verdicts) == FAILURES and all(one in FAILED for one in self.verdicts)


def watch_sources(*, now: datetime) -> int:
    """Tell of each source that began to fail or works again; how many. `now` is everybody's."""
    with connection.cursor() as cursor:
        asked: dict[str, int | datetime] = {
            "failures": FAILURES,
            "settled": now - _SETTLES,
            "lost": now - _LOST,
        }
        rows = cursor.execute(_LATEST, asked).fetchall()
    turned = [one for one in (Latest(*row) for row in rows) if one.turned]
    for one in turned:
        _tell(one, now)
    return len(turned)


@transaction.atomic
def _tell(latest: Latest, now: datetime) -> None:
    """Note it on the row and publish it, unless somebody else has just done so."""
    sources = WebhookSource.objects.select_for_update(of=("self",))  # any tenant: our own id
    source = sources.select_related("tenant").get(pk=latest.source_id)
    if source.failing_since != latest.failing_since:
        return
    fails = source.failing_since is None
    source.failing_since = now if fails else None
    source.save(update_fields=["failing_since"])
    publish(
        tenant_id=source.tenant_id,
        fact="webhook_source.failing" if fails else "webhook_source.recovered",
        payload=_payload(source, latest, now) if fails else _about(source),
        subject=source.pk,
        now=clock.at(source.tenant, now),
    )


def _about(source: WebhookSource) -> dict[str, object]:
    return {"sourceId": str(source.pk), "name": source.name, "provider": source.provider}


def _payload(source: WebhookSource, latest: Latest, now: datetime) -> dict[str, object]:
    return {
        **_about(source),
        "failures": FAILURES,
        "reason": latest.verdicts[0],
        "detail": latest.details[0],
        "since": now.isoformat(),
    }
