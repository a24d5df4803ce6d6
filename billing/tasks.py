"""Background entry points of billing. Each may run twice: the services look before they act."""

from typing import Any
from uuid import UUID

from celery import shared_task
from django.db import OperationalError
from django.utils import timezone

from billing import invariants
from billing.services import (
    bill_pages,
    bill_runs,
    closing,
    consolidation,
    grace,
    invoice_states,
    progress,
    run_repairs,
)
from billing.simulations import requests as simulations
from billing.taxes import settling

_POLICY: dict[str, Any] = {
    "acks_late": True,
    "autoretry_for": (OperationalError,),  # deadlock or lost connection; bugs must surface
    "retry_backoff": True,
    "retry_jitter": True,
    "max_retries": 5,
}
"""What heals by itself is tried again; what is lost even so, Beat's resume finds."""


@shared_task(name="billing.close_periods", **_POLICY)
def close_periods() -> int:
    return closing.close_periods(now=timezone.now())


@shared_task(name="billing.execute_bill_run", **_POLICY)
def execute_bill_run(run_id: str) -> str:
    return bill_runs.advance_run(run_id=UUID(run_id), now=timezone.now()).status


@shared_task(name="billing.bill_page", **_POLICY)
def bill_page(run_id: str, page: int) -> int:
    return bill_pages.bill_page(run_id=UUID(run_id), page=page, now=timezone.now())


@shared_task(name="billing.resume_bill_runs", **_POLICY)
def resume_bill_runs() -> int:
    return bill_runs.resume_runs(now=timezone.now())


@shared_task(name="billing.expire_bill_runs", **_POLICY)
def expire_bill_runs() -> int:
    return run_repairs.expire_runs(now=timezone.now())


@shared_task(name="billing.issue_due_drafts", **_POLICY)
def issue_due_drafts() -> int:
    """Consolidated invoices first: they may be due at once."""
    now = timezone.now()
    return consolidation.consolidate_waiting(now=now) + grace.issue_due_drafts(now=now)


@shared_task(name="billing.settle_taxes", **_POLICY)
def settle_taxes() -> int:
    """The number of drafts that got their tax; a failing engine is asked again by Beat."""
    return settling.settle_taxes(now=timezone.now())


@shared_task(name="billing.mark_overdue", **_POLICY)
def mark_overdue() -> int:
    return invoice_states.mark_overdue(now=timezone.now())


@shared_task(name="billing.invoice_thresholds", **_POLICY)
def invoice_thresholds() -> int:
    return progress.invoice_thresholds(now=timezone.now())


@shared_task(name="billing.check_invariants", **_POLICY)
def check_invariants() -> int:
    """The number of broken truths; each is logged as an error."""
    return invariants.check_and_log()


@shared_task(name="billing.run_simulation", **_POLICY)
def run_simulation(simulation_id: str) -> str:
    return simulations.run_simulation(simulation_id=UUID(simulation_id), now=timezone.now())
