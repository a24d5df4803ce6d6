"""What each gate stopped or marked, in the words of the dead letters that it left behind."""

from collections.abc import Iterator, Mapping
from uuid import UUID

from django.db.models import Sum

from metering.models import DeadLetter, UsageEvent

# Each gate's codes; whatever else a dead letter may say was found by looking at the event itself.
_TIMESTAMP = ("INVALID_TIMESTAMP", "TIMESTAMP_IN_FUTURE", "TIMESTAMP_TOO_OLD")
_IDEMPOTENCY = ("IDEMPOTENCY_CONFLICT",)
_METRIC = ("UNKNOWN_METRIC",)
_CONTRACT = ("UNKNOWN_CUSTOMER", "NO_SUBSCRIPTION", "UNPRICEABLE")


def dead_letters(tenant_id: UUID) -> dict[str, int]:
    """Refused events by code."""
    letters = DeadLetter.objects.filter(tenant_id=tenant_id)  # any tenant: by id
    sums = letters.values_list("code").annotate(events=Sum("occurrences"))
    return dict(sums.order_by("code"))


def late_events(tenant_id: UUID) -> int:
    """Events that were counted, and flagged as more than a day old."""
    return UsageEvent.objects.filter(tenant_id=tenant_id, late=True).count()  # any tenant: by id


def gates_at_work(
    *, letters: Mapping[str, int], late: int, duplicates: int, unreadable: int
) -> Iterator[tuple[str, str]]:
    """Every gate that has seen something, with what it saw, in the order of the gates."""
    elsewhere = (*_TIMESTAMP, *_METRIC, *_IDEMPOTENCY, *_CONTRACT)
    schema = tuple(code for code in letters if code not in elsewhere)
    seen = {
        "schema": [*_of(letters, schema), (unreadable, "unreadable bodies")],
        "timestamp": _of(letters, _TIMESTAMP),
        "metric": _of(letters, _METRIC),
        "idempotency": [(duplicates, "duplicates"), *_of(letters, _IDEMPOTENCY)],
        "contract": _of(letters, _CONTRACT),
        "latency": [(late, "counted and flagged late")],
    }
    for gate, findings in seen.items():
        found = [f"{count:,} {what}" for count, what in findings if count]
        if found:
            yield gate, ", ".join(found)


def _of(letters: Mapping[str, int], codes: tuple[str, ...]) -> list[tuple[int, str]]:
    return [(letters.get(code, 0), code) for code in codes]
