from datetime import UTC, datetime

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from aforo.tenancy.models import AuditEntry
from billing.models import BillRun, BillRunItem, Invoice
from billing.services.invoices import bill_periods
from tests.billing.build import bill_run, priced_subscription
from tests.billing.metered import meter
from tests.factories import MemberFactory, TenantFactory, UserFactory

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 2, tzinfo=UTC)
MODELS = (
    "billrun", "billrunitem", "invoice", "invoiceline", "stagerecord", "billruneventindex",
)  # fmt: skip


@pytest.fixture
def superuser():
    user = get_user_model().objects.create_superuser("root")
    client = Client()
    client.force_login(user)
    return client


def member(tenant, role="OWNER"):
    user = UserFactory(is_staff=True)
    MemberFactory(tenant=tenant, user=user, role=role)
    client = Client()
    client.force_login(user)
    return client


def billed(*, auto_finalize=False, tenant=None):
    period, (unit,) = priced_subscription({"model": "PER_UNIT", "rate": "2"}, tenant=tenant)
    meter(period, unit, [1, 1])
    run = bill_run(period.tenant, auto_finalize=auto_finalize, status="COMPLETED")
    BillRunItem.objects.create(
        tenant=period.tenant, run=run, period=period, page=0, status="BILLED"
    )
    bill_periods(run=run, period_ids=[period.id], now=NOW)
    return Invoice.objects.get(period=period)


def rows_of(invoice):
    line = invoice.lines.get()
    return {
        "billrun": invoice.bill_run,
        "billrunitem": invoice.bill_run.items.get(),
        "invoice": invoice,
        "invoiceline": line,
        "stagerecord": invoice.stage_record,
        "billruneventindex": line.spans.get(),
    }


@pytest.mark.parametrize("model", MODELS)
def test_every_table_is_listed_searched_and_shown(superuser, model):
    row = rows_of(billed())[model]
    changelist = reverse(f"admin:billing_{model}_changelist")
    assert superuser.get(changelist).status_code == 200
    assert superuser.get(changelist, {"q": "INV-2026"}).status_code == 200
    page = superuser.get(reverse(f"admin:billing_{model}_change", args=[row.pk]))
    assert page.status_code == 200
    assert b'name="_save"' not in page.content
    assert superuser.get(reverse(f"admin:billing_{model}_add")).status_code == 403


@pytest.mark.parametrize("model", MODELS)
def test_a_member_sees_rows_of_their_tenant_alone(model):
    own = billed()
    row = rows_of(billed())[model]
    client = member(own.tenant)
    assert client.get(reverse(f"admin:billing_{model}_changelist")).status_code == 200
    foreign = client.get(reverse(f"admin:billing_{model}_change", args=[row.pk]))
    assert foreign.status_code == 302  # "does not exist", says the admin, and goes home


@pytest.mark.parametrize("kind", ["pdf", "html"])
def test_documents_are_handed_to_members_only(kind):
    invoice = billed(auto_finalize=True)
    url = reverse(f"admin:billing_invoice_{kind}", args=[invoice.pk])
    assert member(invoice.tenant, "MEMBER").get(url).status_code == 200
    assert member(TenantFactory()).get(url).status_code == 404
    assert Client().get(url).status_code == 302


def test_drafts_are_finalized_by_an_action():
    invoice = billed()
    client = member(invoice.tenant)
    asked = {"action": "finalize", "_selected_action": [str(invoice.pk)]}
    client.post(reverse("admin:billing_invoice_changelist"), asked)
    invoice.refresh_from_db()
    assert (invoice.status, invoice.number) == ("OPEN", "INV-2026-0001")
    assert AuditEntry.objects.get(action="INVOICE_FINALIZED").actor_type == "USER"


def test_a_reader_finalizes_nothing():
    invoice = billed()
    asked = {"action": "finalize", "_selected_action": [str(invoice.pk)]}
    member(invoice.tenant, "MEMBER").post(reverse("admin:billing_invoice_changelist"), asked)
    invoice.refresh_from_db()
    assert invoice.status == "DRAFT"


def test_a_run_that_was_never_started_is_started_by_an_action(queued):
    run = bill_run(TenantFactory(), status="CREATED")
    asked = {"action": "execute", "_selected_action": [str(run.pk)]}
    member(run.tenant).post(reverse("admin:billing_billrun_changelist"), asked)
    assert BillRun.objects.get().status == "WAITING"


@pytest.mark.parametrize("model", MODELS)
def test_a_list_costs_the_same_for_one_and_for_many(superuser, model):
    counts = []
    for _ in range(3):
        billed()
        with CaptureQueriesContext(connection) as queries:
            superuser.get(reverse(f"admin:billing_{model}_changelist"))
        counts.append(len(queries))
    assert len(set(counts)) == 1
