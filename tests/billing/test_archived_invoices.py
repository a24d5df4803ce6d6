"""An invoice whose events were archived: it says so, and names the file."""

from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command

from billing.verification import verify_invoice
from metering.models import ArchivedMonth, UsageEvent
from tests.billing.test_verification import billed, change

pytestmark = pytest.mark.django_db


@pytest.fixture
def archived():
    invoice = billed()
    UsageEvent.objects.all().delete()
    ArchivedMonth.objects.create(
        month="2026-03-01",
        file="/archive/usage_events_202603.parquet",
        sha256="ab" * 32,
        row_count=3,
        archived_at=datetime(2027, 5, 1, tzinfo=UTC),
    )
    return invoice


def test_it_needs_the_archive_and_names_the_file(archived):
    verification = verify_invoice(archived)
    assert verification.needs_archive
    (step,) = verification.broken
    assert step.claim == "archive"
    assert step.found == f"2026-03 is in /archive/usage_events_202603.parquet, sha256:{'ab' * 32}"


def test_the_command_says_so_and_fails(archived, capsys):
    with pytest.raises(CommandError, match="NEEDS THE ARCHIVE"):
        call_command("verify_invoice", archived.number)
    assert "ARCHIVED" in capsys.readouterr().out


def test_what_is_broken_besides_is_still_broken(archived):
    change("UPDATE invoices SET digest = %s WHERE id = %s", bytes(32), archived.id)
    archived.refresh_from_db()
    verification = verify_invoice(archived)
    assert not verification.needs_archive
    assert {step.claim for step in verification.broken} == {"archive", "digest"}


def test_an_invoice_of_another_month_does_not_care(archived):
    ArchivedMonth.objects.update(month="2026-01-01")
    assert not verify_invoice(archived).needs_archive
