from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from aforo.ids import new_id
from billing.selectors.open_invoices import OpenInvoices, open_invoices_of
from metering.models import DeadLetter, InboxBatch, Receipt
from metering.selectors.today import Today, today_of
from tests.billing.admin.test_admin import billed, member, superuser
from tests.factories import SandboxFactory, TenantFactory

__all__ = ["superuser"]

pytestmark = pytest.mark.django_db


def receipt(tenant, *, counted=0, duplicates=0, drained_at=None):
    now = timezone.now()
    return Receipt.objects.create(
        batch_id=new_id(),
        tenant_id=tenant.pk,
        source="API",
        received_at=now,
        arrived_at=now,
        drained_at=drained_at or now,
        event_count=counted + duplicates,
        counted=counted,
        unbilled=0,
        duplicates=duplicates,
        dead=0,
        held=0,
    )


def dead_letter(tenant, *, status="OPEN"):
    now = timezone.now()
    return DeadLetter.objects.create(
        tenant=tenant,
        code="UNKNOWN_METRIC",
        detail="no such metric",
        status=status,
        fingerprint=new_id(),
        event=b"{}",
        source="API",
        batch_id=new_id(),
        batch_index=0,
        received_at=now,
        last_seen_at=now,
    )


def waiting_batch(tenant, events):
    now = timezone.now()
    return InboxBatch.objects.create(
        batch_id=new_id(),
        tenant_id=tenant.pk,
        bucket=0,
        source="API",
        received_at=now,
        arrived_at=now,
        event_count=events,
        body=b"",
    )


def test_today_counts_what_was_drained_since_midnight_and_what_is_open():
    tenant, other = TenantFactory(), TenantFactory()
    midnight = timezone.now() - timedelta(hours=1)
    receipt(tenant, counted=5, duplicates=2)
    receipt(tenant, counted=100, drained_at=midnight - timedelta(seconds=1))
    receipt(other, counted=1000)
    dead_letter(tenant)
    dead_letter(tenant, status="DISCARDED")
    waiting_batch(tenant, 7)
    assert today_of([tenant.pk], since=midnight) == Today(
        events=7, duplicates=2, dead_letters=1, held=0, waiting=7
    )


def test_nothing_at_all_is_zero():
    assert today_of([], since=timezone.now()) == Today(0, 0, 0, 0, 0)


def test_open_invoices_are_summed_apart_for_sandboxes():
    live, sandbox = TenantFactory(), SandboxFactory()
    for tenant in (live, live, sandbox):
        billed(auto_finalize=True, tenant=tenant)
    billed(tenant=live)  # a draft
    assert open_invoices_of([live.pk, sandbox.pk]) == [
        OpenInvoices("USD", is_sandbox=False, count=2, total=Decimal("8.00")),
        OpenInvoices("USD", is_sandbox=True, count=1, total=Decimal("4.00")),
    ]


def test_the_first_page_shows_figures_and_the_latest_invoices(superuser):
    invoice = billed(auto_finalize=True)
    receipt(invoice.tenant, counted=1234)
    page = superuser.get(reverse("admin:index")).content.decode()
    assert "1,234" in page
    assert invoice.number in page
    assert "4.00 USD" in page


def test_a_member_sees_their_own_tenant_alone():
    own, other = billed(auto_finalize=True), billed(auto_finalize=True)
    receipt(other.tenant, counted=1234)
    page = member(own.tenant).get(reverse("admin:index")).content.decode()
    assert str(own.pk) in page
    assert str(other.pk) not in page
    assert "1,234" not in page


def test_the_number_of_statements_does_not_grow_with_invoices(superuser):
    def statements():
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert superuser.get(reverse("admin:index")).status_code == 200
        return len(queries)

    billed()
    before = statements()
    for _ in range(3):
        billed()
    assert statements() == before


def test_every_entry_of_the_sidebar_leads_to_a_page(superuser):
    page = superuser.get(reverse("admin:index"))
    links = [
        str(item["link"]) for group in page.context["sidebar_navigation"] for item in group["items"]
    ]
    assert len(links) > 15
    assert [superuser.get(link).status_code for link in links] == [200] * len(links)
