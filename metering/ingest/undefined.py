"""Names of metrics that nobody has defined, noted for tenants that want units drafted for them."""

from collections.abc import Iterable, Mapping
from functools import partial
from uuid import UUID

from django.db import transaction

from aforo.ids import new_id
from aforo.queue import enqueue
from metering.ingest import enrichment
from metering.ingest.connection import hot_cursor

DRAFT_UNITS = "metering.draft_units"
# A sender that makes a name per request must make neither a million rows nor a million units.
MOST_NAMES = 1_000  # of one tenant; events under further names are unbilled all the same
_NOTE = """
    INSERT INTO unknown_metrics (id, tenant_id, name, first_seen_at)
    SELECT id, tenant_id, name, clock_timestamp()
    FROM unnest(%s::uuid[], %s::uuid[], %s::text[]) AS given (id, tenant_id, name)
    WHERE tenant_id NOT IN (
        SELECT tenant_id FROM unknown_metrics WHERE tenant_id = ANY(%s::uuid[])
        GROUP BY tenant_id HAVING count(*) >= %s)
    ON CONFLICT DO NOTHING RETURNING id
"""


def note() -> None:
    """Write down the names that this drain met first, in its transaction; nearly always none.

    A name is remembered until a commit has stored it: a drain that is rolled back loses none.
    """
    met = enrichment.undefined_metrics()
    if not met:
        return
    rows = [
        (new_id(), tenant_id, name)
        for tenant_id in sorted(met)  # in one order, so that two drains do not deadlock
        for name in sorted(met[tenant_id])[:MOST_NAMES]
    ]
    columns = [list(column) for column in zip(*rows, strict=True)]
    with hot_cursor() as cursor:
        cursor.execute(_NOTE, (*columns, list(met), MOST_NAMES))
        is_new = cursor.fetchone() is not None
    if is_new:
        enqueue(DRAFT_UNITS)
    noted: Mapping[UUID, Iterable[str]] = {
        tenant_id: set(names) for tenant_id, names in met.items()
    }
    transaction.on_commit(partial(enrichment.forget_undefined, noted))
