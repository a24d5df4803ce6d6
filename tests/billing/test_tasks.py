import pytest
from celery import current_app

from billing import tasks
from billing.services import bill_pages, bill_runs
from tests.factories import TenantFactory

NAMES = {
    "billing.close_periods",
    "billing.execute_bill_run",
    "billing.bill_page",
    "billing.resume_bill_runs",
    "billing.expire_bill_runs",
    "billing.issue_due_drafts",
    "billing.settle_taxes",
    "billing.mark_overdue",
    "billing.invoice_thresholds",
    "billing.check_invariants",
}


def test_every_name_that_is_asked_for_is_a_task():
    assert set(current_app.tasks) >= NAMES


def test_the_schedule_names_tasks_that_exist():
    scheduled = {entry["task"] for entry in current_app.conf.beat_schedule.values()}
    ours = {name for name in scheduled if name.startswith("billing.")}
    assert ours <= NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_killed_task_runs_again(name):
    assert current_app.tasks[name].acks_late


@pytest.mark.django_db
def test_periodic_tasks_find_nothing_to_do():
    TenantFactory()
    assert tasks.close_periods() == 0
    assert tasks.resume_bill_runs() == 0
    assert tasks.check_invariants() == 0


def test_a_page_is_several_chunks():
    assert bill_runs.PAGE % bill_pages.CHUNK == 0
