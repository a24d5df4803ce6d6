"""The buttons of a bill run. Its times are on everybody's clock, because they measure it."""

from collections.abc import Mapping
from typing import Any

from django.utils import timezone

from aforo.tenancy.admin_acts import Act, ActForm
from aforo.tenancy.services.actors import Actor
from billing.models import BillRun
from billing.services.bill_runs import execute_run
from billing.services.run_repairs import cancel_run, retry_run

Status = BillRun.Status
Given = Mapping[str, Any]


def acts_of_run(run: BillRun) -> dict[str, Act]:
    """What may be done to a run in its state."""
    return {name: act for name, act in ACTS.items() if run.status in act.states}


def _execute(run: BillRun, _given: Given, actor: Actor) -> BillRun:
    return execute_run(run=run, actor=actor, now=timezone.now())


def _cancel(run: BillRun, given: Given, actor: Actor) -> BillRun:
    return cancel_run(run=run, actor=actor, now=timezone.now(), **given)


def _retry(run: BillRun, given: Given, actor: Actor) -> BillRun:
    return retry_run(run=run, actor=actor, now=timezone.now(), **given)


ACTS: Mapping[str, Act] = {
    "execute": Act(
        "Execute",
        "play_arrow",
        "It waits until everything received so far is counted, then bills every period that ended"
        " in its window.",
        {Status.CREATED},
        _execute,
        ActForm,
    ),
    "cancel": Act(
        "Cancel",
        "cancel",
        "It bills nothing, and its window is free for another run.",
        {Status.CREATED},
        _cancel,
        is_dangerous=True,
    ),
    "retry": Act(
        "Retry failures",
        "replay",
        "What could not be billed is tried once more; what is billed stays as it is.",
        {Status.PARTIALLY_FAILED, Status.FAILED},
        _retry,
    ),
}
