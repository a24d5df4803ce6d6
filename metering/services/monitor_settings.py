"""How watchful monitors are is set by a tenant, audited, and holds from the next look on."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from aforo.errors import FieldError, Refused
from aforo.spelling import on_the_wire
from aforo.tenancy.models import Tenant
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from metering.models import MonitorSettings

FIELDS = (
    "sigma",
    "baseline_days",
    "minimum_samples",
    "flat_percent",
    "drop_percent",
    "drop_minimum_events",
    "pacing_thresholds",
    "pacing_from_percent",
)


@transaction.atomic
def set_monitors(
    *, tenant: Tenant, fields: Mapping[str, Any], actor: Actor, now: datetime
) -> MonitorSettings:
    """Change the fields that are given; Refused names what cannot be."""
    row = MonitorSettings.objects.for_tenant(tenant).select_for_update().first()
    row = row or MonitorSettings(tenant=tenant)
    before = {name: getattr(row, name) for name in FIELDS}
    for name, value in fields.items():
        setattr(row, name, value)
    row.pacing_thresholds = sorted(set(row.pacing_thresholds))
    row.updated_at = now
    try:
        row.clean_fields()
    except ValidationError as wrong:
        raise _refused(wrong) from None
    row.save()
    after = {name: getattr(row, name) for name in FIELDS}
    audit.record(
        tenant=tenant,
        actor=actor,
        action="MONITORS_SET",
        target=row,
        now=now,
        changes=audit.differences(before, after),
    )
    return row


def _refused(wrong: ValidationError) -> Refused:
    errors = tuple(
        FieldError(on_the_wire(name), "INVALID", message)
        for name, said in wrong.message_dict.items()
        for message in said
    )
    return Refused("; ".join(error.message for error in errors), errors=errors)
