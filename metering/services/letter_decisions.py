"""Decisions about many dead letters at once: written down first, then carried out page by page.

A page is one transaction. Whatever is killed when, the sweep finds the decision and goes on: what
is done is closed, so no letter is decided twice.
"""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from aforo.errors import FieldError, Refused
from aforo.ids import new_id
from aforo.queue import enqueue
from aforo.tenancy.models import Tenant
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from metering.models import DeadLetter, LetterDecision
from metering.refusals import NOT_REPLAYABLE
from metering.selectors.letters import Chosen, open_letters
from metering.services import replays
from metering.services.letters import not_replayable, require_reason

LETTERS_AT_A_TIME = 1_000  # 0.4 s on two busy cores where each came in a request of its own
EVENTS_AT_A_TIME = 20_000  # what a drain takes; a letter that stands for more travels alone
PAGES_AT_ONCE = 2  # while the operator waits; an empty one says that it is finished
PAGES_PER_TASK = 200
CARRY_OUT = "metering.carry_out_letter_decisions"
Act = LetterDecision.Act


@transaction.atomic
def decide(
    *, tenant: Tenant, act: str, chosen: Chosen, actor: Actor, now: datetime, reason: str = ""
) -> LetterDecision:
    """Decide about all open letters that meet `chosen` and are there by now; nothing is done yet.

    Refused when no criterion is given, or a discard gives no reason.
    """
    if chosen.is_empty:
        message = "name which letters: ids, a code, a metric, a customer, a source or a time"
        raise Refused(message, errors=(FieldError("ids", "REQUIRED", message),))
    if act == Act.DISCARD:
        require_reason(reason)
    elif chosen.code in NOT_REPLAYABLE:
        raise not_replayable(chosen.code)
    decision = LetterDecision.objects.create(
        tenant=tenant,
        act=act,
        chosen=chosen.as_json(),
        until_id=new_id(),
        reason=reason,
        decided_by=actor.name[:200],
        decided_at=now,
    )
    audit.record(
        tenant=tenant,
        actor=actor,
        action="DEAD_LETTERS_REPLAYED" if act == Act.REPLAY else "DEAD_LETTERS_DISCARDED",
        target=decision,
        now=now,
        changes={"chosen": decision.chosen},
        reason=reason,
    )
    return decision


def decide_now(
    *, tenant: Tenant, act: str, chosen: Chosen, actor: Actor, now: datetime, reason: str = ""
) -> LetterDecision:
    """Decide, and carry the first pages out at once; the rest is asked for of a worker."""
    decision = decide(tenant=tenant, act=act, chosen=chosen, actor=actor, now=now, reason=reason)
    return begin(decision, now=now)


def begin(decision: LetterDecision, *, now: datetime) -> LetterDecision:
    """Carry out the first pages: most decisions are finished with them."""
    if all(carry_out(decision.pk, now=now) for _ in range(PAGES_AT_ONCE)):
        enqueue(CARRY_OUT)
    decision.refresh_from_db()
    return decision


def carry_out_all(*, now: datetime) -> int:
    """Carry out what is under way, oldest first; the number of pages. May run twice, at once."""
    under_way = LetterDecision.objects.filter(finished_at__isnull=True)  # any tenant: all of them
    pages = 0
    for decision_id in under_way.order_by("decided_at").values_list("pk", flat=True):
        while pages < PAGES_PER_TASK and carry_out(decision_id, now=now):
            pages += 1
    if pages >= PAGES_PER_TASK:
        enqueue(CARRY_OUT)
    return pages


@transaction.atomic
def carry_out(decision_id: UUID, *, now: datetime) -> bool:
    """One page; False when nothing is left of the decision, or another worker has it."""
    rows = LetterDecision.objects.select_for_update(skip_locked=True)  # any tenant: by our own id
    decision = rows.filter(pk=decision_id, finished_at__isnull=True).first()
    if decision is None:
        return False
    page = _page(decision)
    if not page:
        decision.finished_at = now
        decision.save(update_fields=["finished_at"])
        return False
    decision.letters += len(page)
    decision.events += sum(letter.occurrences for letter in page)
    decision.batches += _DEEDS[Act(decision.act)](decision, page)
    decision.save(update_fields=["letters", "events", "batches"])
    return True


def _page(decision: LetterDecision) -> list[DeadLetter]:
    """The next letters, locked. One that a drain counts up at this moment is waited for last.

    Drains lock letters in an order of their own, so whoever holds any waits for none.
    """
    found = open_letters(decision.tenant_id, Chosen.of_json(decision.chosen))
    found = found.filter(pk__lte=decision.until_id)
    if decision.act == Act.REPLAY:
        found = found.exclude(code__in=NOT_REPLAYABLE)
    free = list(found.select_for_update(skip_locked=True)[:LETTERS_AT_A_TIME])
    return _bounded(free) if free else list(found.select_for_update()[:1])


def _bounded(letters: list[DeadLetter]) -> list[DeadLetter]:
    """As many letters as stand for no more events than fit; at least one."""
    events = 0
    for count, letter in enumerate(letters):
        events += letter.occurrences
        if events > EVENTS_AT_A_TIME:
            return letters[: max(count, 1)]
    return letters


def _replay(decision: LetterDecision, letters: list[DeadLetter]) -> int:
    sent = replays.send_again(
        letters,
        tenant_id=decision.tenant_id,
        now=decision.decided_at,
        by=decision.decided_by,
        reason=decision.reason,
    )
    return len(sent.batch_ids)


def _discard(decision: LetterDecision, letters: list[DeadLetter]) -> int:
    _rows(decision, letters).update(
        status=DeadLetter.Status.DISCARDED,
        decided_at=decision.decided_at,
        decided_by=decision.decided_by,
        reason=decision.reason,
    )
    return 0


def _rows(decision: LetterDecision, letters: list[DeadLetter]) -> QuerySet[DeadLetter]:
    ids = [letter.pk for letter in letters]
    return DeadLetter.objects.for_tenant(decision.tenant_id).filter(pk__in=ids)


_DEEDS: dict[Act, Callable[[LetterDecision, list[DeadLetter]], int]] = {
    Act.REPLAY: _replay,
    Act.DISCARD: _discard,
}
