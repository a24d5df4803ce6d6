from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from billing.invariants import TRUTHS
from billing.models import Invoice
from billing.services.invoices import bill_periods
from tests.billing.build import bill_run, priced_subscription
from tests.billing.metered import meter
from tests.factories import TenantFactory

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 2, tzinfo=UTC)


def billed(tenant=None):
    period, (unit,) = priced_subscription({"model": "PER_UNIT", "rate": "2"}, tenant=tenant)
    meter(period, unit, [1, 1])
    run = bill_run(period.tenant, auto_finalize=True, status="COMPLETED")
    bill_periods(run=run, period_ids=[period.id], now=NOW)
    return Invoice.objects.get(period=period)


def printed(command, *arguments, **options):
    out = StringIO()
    call_command(command, *arguments, stdout=out, **options)
    return out.getvalue()


def forge():
    with connection.cursor() as cursor:
        cursor.execute("UPDATE usage_events SET metric = 'x' WHERE \"position\" = 2")


def test_verify_says_verified_for_a_number_and_for_an_id():
    invoice = billed()
    for reference in (invoice.number, str(invoice.id)):
        assert f"VERIFIED  invoice {invoice.number}, 4.00 USD" in printed(
            "verify_invoice", reference
        )


def test_verify_names_what_is_broken_and_fails():
    invoice = billed()
    forge()
    out = StringIO()
    with pytest.raises(CommandError, match="is BROKEN"):
        call_command("verify_invoice", invoice.number, stdout=out)
    told = " ".join(out.getvalue().split())
    assert "BROKEN line 1, events: the event at position 2" in told


def test_verify_asks_whose_when_a_number_is_ambiguous():
    ours, theirs = billed(), billed()
    assert ours.number == theirs.number
    with pytest.raises(CommandError, match="name its --tenant"):
        printed("verify_invoice", ours.number)
    for tenant in (ours.tenant.slug, str(ours.tenant_id)):
        assert "VERIFIED" in printed("verify_invoice", ours.number, tenant=tenant)


def test_verify_of_nothing_fails():
    with pytest.raises(CommandError, match="there is no invoice 'INV-9'"):
        printed("verify_invoice", "INV-9")


def test_check_says_true_for_everything():
    billed()
    assert printed("check_invariants", full=True).count("true  ") == len(TRUTHS)


def test_check_names_what_is_broken_and_fails():
    invoice = billed()
    total_id = invoice.lines.get().spans.get().running_total_id
    forge()
    out = StringIO()
    with pytest.raises(CommandError, match=f"broken: 1 of {len(TRUTHS)}"):
        call_command("check_invariants", stdout=out)
    told = " ".join(out.getvalue().split())
    assert f"BROKEN the digest of a total chains all of its events running total {total_id}" in told


def test_check_of_one_tenant_leaves_the_others_out():
    billed()
    forge()
    tenant = TenantFactory()
    assert "BROKEN" not in printed("check_invariants", tenant=tenant.slug, full=True)
    with pytest.raises(CommandError, match="there is no tenant"):
        printed("check_invariants", tenant="nobody")
