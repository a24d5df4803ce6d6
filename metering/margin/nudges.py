"""Asking for a look at margins: whose numbers have moved, gathered so that many ask for one."""

from collections.abc import Collection
from uuid import UUID

import redis
import structlog
from celery import current_app
from kombu.exceptions import OperationalError

from aforo import valkey

log = structlog.get_logger(__name__)
TASK = "metering.evaluate_margins"
LOOK_AFTER = 1  # second: so often customers are looked at while events stream in, at most
FLAG_SECONDS = 5  # a flag whose message was lost dies by itself
DUE_SECONDS = 300  # the sweep has looked at everybody long before
_AWAY = (redis.RedisError, OperationalError, OSError)


def note(tenant_id: UUID, customer_ids: Collection[UUID]) -> None:
    """Say that these customers' margins have moved; one look is asked for. Never raises."""
    if not customer_ids:
        return
    due, asked = _due(tenant_id), _asked(tenant_id)
    try:
        with valkey.client().pipeline(transaction=False) as pipeline:
            pipeline.sadd(due, *map(str, customer_ids))
            pipeline.expire(due, DUE_SECONDS)
            pipeline.set(asked, 1, nx=True, ex=FLAG_SECONDS)
            *_, is_first = pipeline.execute()
        if is_first:
            current_app.send_task(
                TASK,
                kwargs={"tenant_id": str(tenant_id)},
                retry=False,
                expires=30,
                ignore_result=True,
                countdown=LOOK_AFTER,  # what comes meanwhile is looked at as well
            )
    except _AWAY as error:
        log.warning("margin_nudge_failed", error=str(error))  # Beat looks at everybody


def take_due(tenant_id: UUID) -> set[UUID]:
    """Whose margins have moved since the last time; they are forgotten."""
    with valkey.client().pipeline(transaction=True) as pipeline:
        pipeline.smembers(_due(tenant_id))
        pipeline.delete(_due(tenant_id), _asked(tenant_id))  # from here on somebody asks anew
        members, _ = pipeline.execute()
    return {UUID(member.decode()) for member in members}


def _due(tenant_id: UUID) -> str:
    return f"margin:due:{tenant_id}"


def _asked(tenant_id: UUID) -> str:
    return f"margin:asked:{tenant_id}"
