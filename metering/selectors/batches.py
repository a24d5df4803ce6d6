"""What became of one accepted request."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from aforo.tenancy.models import Tenant
from metering.models import InboxBatch, Receipt

COUNTS = ("counted", "unbilled", "duplicates", "dead", "held")
_refusals = msgspec.json.Decoder(list[tuple[int, str, str]])


@dataclass(frozen=True, slots=True)
class BatchFate:
    """PENDING until it is drained, then DONE with what became of its events.

    `counts` is empty and `drained_at` None while it is pending; `refusals` are (index, code), as
    far as the door alone could say.
    """

    batch_id: UUID
    status: str
    source: str
    received_at: datetime
    drained_at: datetime | None
    events: int
    counts: Mapping[str, int]
    refusals: tuple[tuple[int, str], ...]
    api_key_id: UUID | None  # that it was sent with; None: by ourselves


def batch_fate(*, tenant: Tenant, batch_id: UUID) -> BatchFate | None:
    """What became of a batch of this tenant; None when it never sent one with this id."""
    # Between the first two looks a drain may have turned the one into the other.
    for look in (_done, _pending, _done):
        found = look(tenant, batch_id)
        if found is not None:
            return found
    return None


def _done(tenant: Tenant, batch_id: UUID) -> BatchFate | None:
    own = Receipt.objects.filter(tenant_id=tenant.pk)  # any tenant: scoped by its bare id
    receipt = own.filter(batch_id=batch_id).first()
    if receipt is None:
        return None
    return BatchFate(
        batch_id,
        "DONE",
        receipt.source,
        receipt.received_at,
        receipt.drained_at,
        receipt.event_count,
        {name: getattr(receipt, name) for name in COUNTS},
        tuple((index, code) for index, code in receipt.refusals or ()),
        receipt.api_key_id,
    )


def _pending(tenant: Tenant, batch_id: UUID) -> BatchFate | None:
    own = InboxBatch.objects.filter(tenant_id=tenant.pk)  # any tenant: scoped by its bare id
    row = own.filter(batch_id=batch_id).defer("body").first()
    if row is None:
        return None
    refused = _refusals.decode(bytes(row.refused)) if row.refused else []
    return BatchFate(
        batch_id,
        "PENDING",
        row.source,
        row.received_at,
        None,
        row.event_count,
        {},
        tuple(sorted((index, code) for index, code, _ in refused)),
        row.api_key_id,
    )
