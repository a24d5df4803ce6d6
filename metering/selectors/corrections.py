"""What was taken back, as replays and lists of corrections need to know it."""

from collections import defaultdict
from collections.abc import Collection, Mapping

import msgspec
from django.db.models import QuerySet

from aforo.tenancy.models import Tenant
from metering.models import Correction

VOID = Correction.Kind.VOID.value
"""The source of a row that takes an event back; senders have other sources."""


class _Voided(msgspec.Struct):
    position: int | None = None


class _VoidMetadata(msgspec.Struct):
    voids: _Voided


_decoder = msgspec.json.Decoder(_VoidMetadata)


def corrections(*, tenant: Tenant) -> QuerySet[Correction]:
    """The tenant's corrections, newest first: one row per unit that had counted the event."""
    rows: QuerySet[Correction] = Correction.objects.for_tenant(tenant)
    return rows.order_by("-id")  # ids rise with time


def taken_back(running_total_ids: Collection[int]) -> Mapping[int, Mapping[int, int]]:
    """By total, the positions whose events do not stand, each with where it was taken back."""
    rows = Correction.objects.filter(running_total_id__in=running_total_ids)  # any tenant: by id
    found: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for total_id, position, void_position in rows.values_list(
        "running_total_id", "position", "void_position"
    ):
        found[total_id][position] = void_position
    return found


def position_voided(metadata: str | None) -> int | None:
    """The position that a row says it takes back; None when it says no such thing."""
    try:
        return _decoder.decode(metadata or "").voids.position
    except msgspec.DecodeError:
        return None
