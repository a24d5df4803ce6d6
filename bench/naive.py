"""The contrast: one Django transaction per event, as one writes it before measuring.

    python bench/naive.py < EVENTS        each line `[tenant id, event]`; prints events per second

A program of its own, with models and tables of its own in the database of `DATABASE_URL`.
"""

import json
import os
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import django
from django.conf import settings
from django.db import connection, models, transaction
from psycopg.conninfo import conninfo_to_dict

from prices import price

_address = conninfo_to_dict(os.environ["DATABASE_URL"])
settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": _address["dbname"],
            "USER": _address.get("user", ""),
            "PASSWORD": _address.get("password", ""),
            "HOST": _address.get("host", ""),
            "PORT": _address.get("port", ""),
        }
    },
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()


class Total(models.Model):
    tenant_id = models.UUIDField()
    customer = models.TextField()
    metric = models.TextField()
    month = models.DateTimeField()
    quantity = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    revenue = models.DecimalField(max_digits=38, decimal_places=12, default=0)
    event_count = models.BigIntegerField(default=0)

    class Meta:
        app_label = "bench"
        db_table = "bench_naive_totals"
        unique_together = ("tenant_id", "customer", "metric", "month")


class Event(models.Model):
    tenant_id = models.UUIDField()
    idempotency_key = models.TextField()
    total = models.ForeignKey(Total, on_delete=models.CASCADE)
    quantity = models.DecimalField(max_digits=36, decimal_places=12)
    revenue = models.DecimalField(max_digits=38, decimal_places=12)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    metadata = models.JSONField()

    class Meta:
        app_label = "bench"
        db_table = "bench_naive_events"
        unique_together = ("tenant_id", "idempotency_key")


@transaction.atomic
def count(tenant_id: str, event: dict[str, Any]) -> None:
    key, metric = event["idempotencyKey"], event["metricName"]
    if Event.objects.filter(tenant_id=tenant_id, idempotency_key=key).exists():
        return
    occurred_at = datetime.fromisoformat(event["occurredAt"])
    total, _ = Total.objects.select_for_update().get_or_create(
        tenant_id=tenant_id,
        customer=event["customerId"],
        metric=metric,
        month=occurred_at.replace(day=1, hour=0, minute=0, second=0, microsecond=0),
    )
    before = price(metric, Decimal(total.quantity))
    total.quantity += Decimal(1) if metric == "calls" else event["quantity"]
    revenue = price(metric, total.quantity) - before
    total.revenue += revenue
    total.event_count += 1
    total.save()
    Event.objects.create(
        tenant_id=tenant_id,
        idempotency_key=key,
        total=total,
        quantity=event["quantity"],
        revenue=revenue,
        occurred_at=occurred_at,
        received_at=datetime.now(UTC),
        metadata=event["metadata"],
    )


def main() -> None:
    with connection.schema_editor() as editor:
        for model in (Total, Event):
            editor.create_model(model)
    events = [json.loads(line, parse_float=Decimal) for line in sys.stdin]
    began_at = time.perf_counter()
    for tenant_id, event in events:
        count(tenant_id, event)
    print(len(events) / (time.perf_counter() - began_at))
    with connection.schema_editor() as editor:
        for model in (Event, Total):
            editor.delete_model(model)


if __name__ == "__main__":
    main()
