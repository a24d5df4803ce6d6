"""Settling taxes: drafts that wait for an external engine are asked about, one at a time."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Q

from aforo.errors import Conflict
from aforo.ids import new_id
from aforo.money import EXACT
from aforo.postgres.faults import is_of_the_server
from aforo.queue import enqueue
from aforo.sealing import Unsealable
from aforo.tenancy import clock
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from billing.models import Invoice, InvoiceLine
from billing.pipeline import Line, LineType
from billing.pipeline.tax_lines import tax_lines, untaxed
from billing.services.consolidation import sum_up
from billing.services.issuing import Issue, issue_drafts
from billing.taxes.contract import Question, Taxation, question_about
from billing.taxes.engine import EngineFailed, ask_engine
from catalog.models import BillingEntity
from catalog.services.billing_entities import tax_secret_of

log = structlog.get_logger(__name__)

AT_ONCE = 200  # questions of one task: some 10 s where an engine takes 50 ms
LEASE = timedelta(minutes=5)  # for the asking of one question; a killed worker's is asked again
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=6)
_UNSETTLED = (Invoice.TaxStatus.PENDING, Invoice.TaxStatus.FAILED)


@dataclass(frozen=True, slots=True)
class Claim:
    """A draft that is ours to ask about until its lease ends."""

    question: Question
    entity: BillingEntity
    attempts: int


def settle_taxes(*, now: datetime) -> int:
    """Ask about the drafts whose turn it is; the number of those that got their tax.

    May run twice at once: each draft is claimed under its lock, and the lock is let go before the
    engine is asked. An engine that is away is not asked about the next draft in the same run.
    """
    settled, away = 0, set[UUID]()
    for _ in range(AT_ONCE):
        claim = _claimed(now, away)
        if claim is None:
            return settled
        try:
            settled += _settle_alone(claim, now)
        except EngineFailed as failure:
            _note_failure(claim, str(failure), now)
            if failure.is_away:
                away.add(claim.entity.pk)
    enqueue("billing.settle_taxes")
    return settled


@transaction.atomic
def ask_again(*, invoice: Invoice, actor: Actor, now: datetime) -> None:
    """Let the engine be asked about a draft or its parts at once, whatever it answered before.

    Raises Conflict for an invoice that waits for no engine.
    """
    rows = Invoice.objects.for_tenant(invoice.tenant_id).select_for_update(of=("self",))
    locked: Invoice = rows.get(pk=invoice.pk)
    if locked.status != Invoice.Status.DRAFT or locked.tax_status not in _UNSETTLED:
        raise Conflict(f"{locked} waits for no tax engine", code="TAX_SETTLED")
    waiting = Invoice.objects.for_tenant(locked.tenant_id).filter(tax_status__in=_UNSETTLED)
    asked = waiting.filter(Q(pk=locked.pk) | Q(part_of=locked))
    asked.update(tax_attempts=0, tax_retry_at=None)
    audit.record(
        tenant=locked.tenant_id,
        actor=actor,
        action="INVOICE_TAX_ASKED_AGAIN",
        target=locked,
        now=now,
    )
    enqueue("billing.settle_taxes")


@transaction.atomic
def _claimed(now: datetime, away: Collection[UUID]) -> Claim | None:
    """The next draft whose turn it is, that nobody else asks about; of a whole, each part."""
    waiting = (
        Invoice.objects.filter(  # any tenant: Beat looks after all
            status=Invoice.Status.DRAFT, tax_status__in=_UNSETTLED
        )
        .exclude(kind=Invoice.Kind.CONSOLIDATED)
        .exclude(tax_retry_at__gt=now)
        .exclude(billing_entity__in=away)
        .order_by("created_at", "pk")
    )
    invoice = (
        waiting.select_related("billing_entity", "customer")
        .select_for_update(of=("self",), skip_locked=True)
        .first()
    )
    if invoice is None:
        return None
    invoice.tax_retry_at = now + LEASE
    invoice.tax_attempts = min(invoice.tax_attempts + 1, 10_000)
    invoice.save(update_fields=["tax_retry_at", "tax_attempts"])
    question = question_about(invoice, _lines_of(invoice))
    return Claim(question, invoice.billing_entity, invoice.tax_attempts)


def _settle_alone(claim: Claim, now: datetime) -> bool:
    """`_settle`; whatever is wrong with one draft, and nobody foresaw, holds up no other."""
    try:
        return _settle(claim, now)
    except (EngineFailed, RuntimeError):  # the latter: that it is asked with rows locked
        raise
    except Exception as error:
        if is_of_the_server(error):
            raise
        log.exception("tax_not_settled", invoice=str(claim.question.invoice_id))
        reason = f"its tax could not be written: {type(error).__name__}, see the log"
        raise EngineFailed(reason, is_away=False) from error


def _settle(claim: Claim, now: datetime) -> bool:
    entity = claim.entity
    if entity.tax_engine != BillingEntity.TaxEngine.HTTP:
        reason = f"billing entity '{entity.code}' asks no external engine any more"
        raise EngineFailed(f"{reason}: void and regenerate the invoice", is_away=True)
    url, secret = entity.tax_url, _secret_of(entity)
    taxation = ask_engine(claim.question, url=url, secret=secret, now=now)
    return _write(claim.question, taxation, now)


def _secret_of(entity: BillingEntity) -> bytes:
    """Raises EngineFailed without one that opens."""
    try:
        secret = tax_secret_of(entity)
    except Unsealable:
        reason = f"the secret of billing entity '{entity.code}' cannot be opened: rotate it"
        raise EngineFailed(reason, is_away=True) from None
    if not secret:
        reason = f"billing entity '{entity.code}' has no secret to sign questions with"
        raise EngineFailed(reason, is_away=True)
    return secret


@transaction.atomic
def _write(question: Question, taxation: Taxation, now: datetime) -> bool:
    """Put the taxes on the draft, unless it has become another since it was asked about.

    It or, when it is the last part of a consolidated one to get its tax, that is issued if due.
    """
    rows = Invoice.objects.select_related("billing_entity", "customer", "tenant")  # any tenant
    locking = rows.select_for_update(of=("self",))
    whole = locking.filter(parts=question.invoice_id).first()  # before its part, as others do
    invoice = locking.filter(pk=question.invoice_id).first()
    if invoice is None or invoice.tax_status not in _UNSETTLED:
        return False
    if invoice.part_of_id != (whole.pk if whole else None):
        return False
    stored = _lines_of(invoice)
    is_draft = invoice.status == Invoice.Status.DRAFT
    if not is_draft or question_about(invoice, stored).revision != question.revision:
        return False
    _add_lines(invoice, stored, question, taxation)
    at = clock.at(invoice.tenant, now)
    audit.record(
        tenant=invoice.tenant_id,
        actor=Actor.system("settle_taxes"),
        action="INVOICE_TAXED",
        target=invoice,
        now=at,
        changes={"tax_total": invoice.tax_total, "total": invoice.total},
    )
    if whole is not None:
        sum_up(whole)
    _issue_if_due(whole or invoice, at)
    return True


def _issue_if_due(draft: Invoice, now: datetime) -> None:
    is_taxed = draft.tax_status == Invoice.TaxStatus.SETTLED
    if is_taxed and draft.draft_until is not None and draft.draft_until <= now:
        issue_drafts([Issue.of_draft(draft)], now=now)


def _add_lines(
    invoice: Invoice, stored: Sequence[InvoiceLine], question: Question, taxation: Taxation
) -> None:
    made, _ = tax_lines(
        taxation.amounts,
        currency=invoice.currency,
        total=invoice.total,
        inclusive=question.inclusive,
    )
    lines = [*made, *(untaxed(note, invoice.currency) for note in taxation.notes)]
    taxed = [line for line in stored if line.position in taxation.percents]
    for row in taxed:
        row.tax_percent = taxation.percents[row.position]
    InvoiceLine.objects.bulk_update(taxed, ["tax_percent"])  # any tenant: rows of the invoice
    last = max(line.position for line in stored)
    InvoiceLine.objects.bulk_create(
        _row(invoice, line, position) for position, line in enumerate(lines, start=last + 1)
    )
    for line in lines:
        column = "tax_total" if line.type is LineType.TAX_ADJUSTMENT else "subtotal"
        amount = EXACT.add(getattr(invoice, column), line.amount.amount)
        setattr(invoice, column, amount)
        invoice.total = EXACT.add(invoice.total, line.amount.amount)
    invoice.tax_status, invoice.tax_error = Invoice.TaxStatus.SETTLED, ""
    invoice.tax_retry_at = None
    invoice.save(
        update_fields=[
            "subtotal", "tax_total", "total", "tax_status", "tax_error", "tax_retry_at",
        ]
    )  # fmt: skip


def _row(invoice: Invoice, line: Line, position: int) -> InvoiceLine:
    return InvoiceLine(
        id=new_id(),
        tenant_id=invoice.tenant_id,
        invoice=invoice,
        position=position,
        type=line.type,
        stage=line.stage,
        description=line.description,
        exact_amount=line.exact_amount,
        amount=line.amount.amount,
        tax_percent=line.tax_percent,
    )


def _note_failure(claim: Claim, reason: str, now: datetime) -> None:
    """Say why on the draft, and ask later: each time after twice as long."""
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(claim.attempts - 1, 20))
    drafts = Invoice.objects.filter(  # any tenant: by id
        pk=claim.question.invoice_id, status=Invoice.Status.DRAFT, tax_status__in=_UNSETTLED
    )
    drafts.update(
        tax_status=Invoice.TaxStatus.FAILED, tax_error=reason[:2000], tax_retry_at=now + pause
    )
    log.warning(
        "tax_engine_failed",
        invoice=str(claim.question.invoice_id),
        attempts=claim.attempts,
        reason=reason,
    )


def _lines_of(invoice: Invoice) -> Sequence[InvoiceLine]:
    lines = InvoiceLine.objects.for_tenant(invoice.tenant_id).filter(invoice=invoice)
    return list(lines.order_by("position"))
