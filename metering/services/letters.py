"""One dead letter: edited, sent again or discarded by an operator, on the record."""

from datetime import datetime

import msgspec
from django.db import transaction

from aforo.errors import Conflict, FieldError, Refused
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from catalog import aliases
from metering.ingest import events, normalising
from metering.ingest.events import Fields, Refusal
from metering.ingest.normalising import Cover
from metering.models import DeadLetter
from metering.refusals import NOT_REPLAYABLE
from metering.services import replays

_CUSTOMER = "customerId"
_NAMELESS = msgspec.Raw(b'"-"')  # while the others are looked at for credentials
Status = DeadLetter.Status


@transaction.atomic
def edit_letter(
    *, letter: DeadLetter, event: bytes, actor: Actor, now: datetime, reason: str = ""
) -> DeadLetter:
    """Say what is sent instead when the letter is replayed; the event as it came is kept.

    Refused when `event` would not pass the gates of the door at the time the first one arrived.
    """
    locked = _locked(letter)
    _require_open(locked)
    _require_replayable(locked)
    before = bytes(locked.edited or locked.event)
    locked.edited = replacement(event, locked)
    locked.save(update_fields=["edited"])
    _record(
        locked,
        "DEAD_LETTER_EDITED",
        actor=actor,
        now=now,
        changes=audit.differences({"event": _text(before)}, {"event": _text(locked.edited)}),
        reason=reason,
    )
    return locked


def replacement(event: bytes, letter: DeadLetter) -> bytes:
    """`event` as it would be sent: unknown fields folded, credentials cut; raises Refused.

    A stand-in of a secret name may stay where the letter has it already.
    """
    fields = events.fields_of(event)
    if isinstance(fields, Refusal):
        raise _refused(fields)
    own = _own_stand_in(fields, letter)
    folded = normalising.fold(
        msgspec.json.encode(fields | dict.fromkeys(own, _NAMELESS)),
        cover=Cover(letter.tenant_id, customer_id=letter.customer_id),
        is_risky=True,
    )
    named = folded if isinstance(folded, Refusal) else events.fields_of(folded)
    if isinstance(named, Refusal):
        raise _refused(named)
    folded = msgspec.json.encode(named | own)
    why = replays.judged(folded, letter)
    if why is not None:
        raise _refused(why)
    return folded


@transaction.atomic
def replay_letter(
    *, letter: DeadLetter, actor: Actor, now: datetime, reason: str = ""
) -> DeadLetter:
    """Send a letter's events again, once: a letter that was replayed is given back as it is.

    Conflict when it was discarded or has expired.
    """
    locked = _locked(letter)
    if locked.status == Status.REPLAYED:
        return locked
    _require_open(locked)
    _require_replayable(locked)
    replays.send_again([locked], tenant_id=locked.tenant_id, now=now, by=actor.name, reason=reason)
    locked.refresh_from_db()
    changes = audit.differences({"status": Status.OPEN}, {"status": Status.REPLAYED})
    _record(locked, "DEAD_LETTER_REPLAYED", actor=actor, now=now, changes=changes, reason=reason)
    return locked


@transaction.atomic
def discard_letter(*, letter: DeadLetter, actor: Actor, now: datetime, reason: str) -> DeadLetter:
    """Decide that a letter's events will never count; they stay accounted for, and stay here.

    A letter that was discarded is given back as it is; Conflict when it was replayed or expired.
    """
    require_reason(reason)
    locked = _locked(letter)
    if locked.status == Status.DISCARDED:
        return locked
    _require_open(locked)
    locked.status = Status.DISCARDED
    locked.decided_at, locked.decided_by, locked.reason = now, actor.name[:200], reason
    locked.save(update_fields=["status", "decided_at", "decided_by", "reason"])
    changes = audit.differences({"status": Status.OPEN}, {"status": Status.DISCARDED})
    _record(locked, "DEAD_LETTER_DISCARDED", actor=actor, now=now, changes=changes, reason=reason)
    return locked


def require_reason(reason: str) -> None:
    """Usage is not thrown away without a word."""
    if not reason.strip():
        message = "say why these events will not be counted"
        raise Refused.naming("reason", "REQUIRED", message)


def _locked(letter: DeadLetter) -> DeadLetter:
    rows = DeadLetter.objects.for_tenant(letter.tenant_id).select_for_update()
    locked: DeadLetter = rows.get(pk=letter.pk)
    return locked


def _require_open(letter: DeadLetter) -> None:
    if letter.status != Status.OPEN:
        raise Conflict(
            f"dead letter {letter.pk} is {letter.status} since {letter.decided_at}",
            code="LETTER_IS_DECIDED",
        )


def _require_replayable(letter: DeadLetter) -> None:
    if letter.code in NOT_REPLAYABLE:
        raise not_replayable(letter.code)


def not_replayable(code: str) -> Refused:
    """What is said of letters whose events cannot be told any more, or were not for us to take."""
    return Refused(
        f"a letter with code {code} cannot be sent again, only discarded", code="NOT_REPLAYABLE"
    )


def _own_stand_in(fields: Fields, letter: DeadLetter) -> Fields:
    """The stand-in that the letter's event has for its customer, if `fields` leave it as it is."""
    own = events.fields_of(bytes(letter.event))
    name = b"" if isinstance(own, Refusal) else bytes(own.get(_CUSTOMER, b""))
    is_stand_in = name.startswith(b'"') and aliases.digest_in(name.decode()[1:-1]) is not None
    if is_stand_in and bytes(fields.get(_CUSTOMER, b"")) == name:
        return {_CUSTOMER: msgspec.Raw(name)}
    return {}


def _refused(why: Refusal) -> Refused:
    error = FieldError("event", why.code, why.detail)
    return Refused(f"event: {why.detail}", code=why.code, errors=(error,))


def _record(
    letter: DeadLetter,
    action: str,
    *,
    actor: Actor,
    now: datetime,
    changes: audit.Changes,
    reason: str,
) -> None:
    audit.record(
        tenant=letter.tenant_id,
        actor=actor,
        action=action,
        target=letter,
        now=now,
        changes=changes,
        reason=reason,
    )


def _text(event: bytes) -> str:
    return event.decode(errors="replace")
