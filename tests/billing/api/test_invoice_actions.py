from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from aforo.tenancy.models import AuditEntry, Tenant
from billing.models import BillRun, BillRunItem, Invoice
from catalog.models import BillingEntity, Customer
from metering.models import RunningTotal
from tests.billing.api.test_invoices import INVOICES, billed
from tests.billing.build import APRIL, bill_run, priced_subscription
from tests.billing.metered import meter
from tests.clients import operator_client
from tests.factories import MONTH_START, BillRunFactory, SandboxFactory, TenantFactory

pytestmark = pytest.mark.django_db
MID_MARCH = MONTH_START + timedelta(days=14)


def running():
    period, (unit,) = priced_subscription(
        {"model": "PER_UNIT", "rate": "2"},
        tenant=SandboxFactory(clock_frozen_at=MID_MARCH),
        aggregation="SUM",
        base_fee="49",
    )
    meter(period, unit, [3, 4])
    return period, operator_client(period.tenant)


def test_an_invoice_is_voided_regenerated_and_voided_again():
    invoice = billed()
    client = operator_client(invoice.tenant)
    url = f"{INVOICES}/{invoice.id}"
    assert client.post(f"{url}/void", {}).status_code == 422
    void = client.post(f"{url}/void", {"reason": "wrong"}).json()
    assert (void["status"], void["number"]) == ("VOID", "INV-2026-0001")
    answer = client.post(f"{url}/regenerate")
    assert answer.status_code == 201
    fresh = answer.json()
    assert (fresh["status"], fresh["replaces"], fresh["total"]) == ("DRAFT", void["id"], "49.70")
    again = client.post(f"{url}/regenerate", {"autoFinalize": True}).json()
    assert (again["id"], again["status"]) == (fresh["id"], "DRAFT")
    refused = client.post(f"{INVOICES}/{fresh['id']}/regenerate")
    assert (refused.status_code, refused.json()["code"]) == (409, "INVOICE_NOT_VOID")


def test_a_draft_is_refreshed_and_an_issued_invoice_is_not():
    draft = billed(auto_finalize=False)
    client = operator_client(draft.tenant)
    fresh = client.post(f"{INVOICES}/{draft.id}/refresh").json()
    assert (fresh["id"], fresh["total"]) == (str(draft.id), "49.70")
    client.post(f"{INVOICES}/{draft.id}/finalize")
    refused = client.post(f"{INVOICES}/{draft.id}/refresh")
    assert (refused.status_code, refused.json()["code"]) == (409, "INVOICE_NOT_A_DRAFT")


def refused_by_tax(answer, field):
    assert answer.status_code == 422, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "STAGE_FAILED"
    return [error["field"] for error in answer.json()["errors"]] == [field]


def test_what_a_stage_cannot_work_with_is_named():
    """A seller who begins to tax has customers whose country nobody knows."""
    draft, issued = billed(auto_finalize=False), billed()
    for invoice in (draft, issued):
        BillingEntity.objects.filter(tenant=invoice.tenant).update(tax_engine="TABLE", country="DE")
    url = f"{INVOICES}/{draft.id}"
    before = client_of(draft).get(url).json()
    assert refused_by_tax(client_of(draft).post(f"{url}/refresh"), "customer.country")
    assert client_of(draft).get(url).json() == before
    url = f"{INVOICES}/{issued.id}"
    client_of(issued).post(f"{url}/void", {"reason": "wrong"})
    Customer.objects.filter(tenant=issued.tenant).update(country="FR")
    assert refused_by_tax(client_of(issued).post(f"{url}/regenerate"), "taxRates")
    BillingEntity.objects.filter(tenant=issued.tenant).update(country="")
    assert refused_by_tax(client_of(issued).post(f"{url}/regenerate"), "billingEntity.country")


def test_a_preview_names_the_customer_without_a_country():
    period, client = running()
    BillingEntity.objects.filter(tenant=period.tenant).update(tax_engine="TABLE", country="DE")
    url = f"/api/v1/subscriptions/{period.subscription_id}/invoice-preview"
    assert refused_by_tax(client.get(url), "customer.country")
    url = f"/api/v1/subscriptions/{period.subscription_id}/invoice-now"
    assert refused_by_tax(client.post(url), "customer.country")


def client_of(invoice):
    return operator_client(invoice.tenant)


def test_only_what_is_overdue_is_given_up():
    invoice = billed()
    client, url = operator_client(invoice.tenant), f"{INVOICES}/{invoice.id}/mark-uncollectible"
    refused = client.post(url, {"reason": "bankrupt"})
    assert (refused.status_code, refused.json()["code"]) == (409, "INVOICE_TRANSITION")
    Invoice.objects.update(status="OVERDUE")
    given_up = client.post(url, {"reason": "bankrupt"}).json()
    assert given_up["status"] == "UNCOLLECTIBLE"


@pytest.mark.parametrize("action", ["void", "regenerate", "refresh", "mark-uncollectible"])
def test_who_may_only_read_does_nothing_to_invoices(action):
    invoice = billed()
    client = operator_client(invoice.tenant, role="MEMBER")
    answer = client.post(f"{INVOICES}/{invoice.id}/{action}", {"reason": "x"})
    assert answer.status_code == 403
    assert Invoice.objects.get().status == "OPEN"


def test_a_preview_says_what_the_invoice_would_be_and_writes_nothing():
    period, client = running()
    url = f"/api/v1/subscriptions/{period.subscription_id}/invoice-preview"
    before = RunningTotal.objects.values().get()
    preview = client.get(url).json()
    assert (preview["total"], preview["currency"]) == ("63.00", "USD")
    assert [line["amount"] for line in preview["lines"]] == ["49.00", "14.00"]
    assert preview["lines"][1]["charges"][0]["unitPrice"] == "2"
    assert len(preview["stages"]) == 10
    assert RunningTotal.objects.values().get() == before
    assert not Invoice.objects.exists()
    assert not AuditEntry.objects.filter(action__startswith="INVOICE").exists()


def test_usage_so_far_is_invoiced_now_and_then_there_is_nothing_left():
    period, client = running()
    url = f"/api/v1/subscriptions/{period.subscription_id}/invoice-now"
    answer = client.post(url)
    assert answer.status_code == 201
    made = answer.json()
    assert (made["kind"], made["status"], made["total"]) == ("PROGRESS", "OPEN", "14.00")
    assert made["billRunId"] is None
    refused = client.post(url)
    assert (refused.status_code, refused.json()["code"]) == (422, "NOTHING_TO_INVOICE")
    assert RunningTotal.objects.get().billed_position is None
    listed = client.get(f"{INVOICES}?kind=PROGRESS&kind=OPENING").json()
    assert listed["totalElements"] == 1


def test_after_the_end_no_period_runs():
    period, client = running()
    Tenant.objects.filter(pk=period.tenant_id).update(clock_frozen_at=APRIL)
    for path in ("invoice-preview", "invoice-now"):
        url = f"/api/v1/subscriptions/{period.subscription_id}/{path}"
        answer = client.post(url) if path == "invoice-now" else client.get(url)
        assert (answer.status_code, answer.json()["code"]) == (409, "NO_RUNNING_PERIOD")


def test_a_run_that_was_not_executed_is_cancelled_and_frees_its_window():
    tenant = TenantFactory()
    run = bill_run(tenant, status="CREATED")
    client = operator_client(tenant)
    url = f"/api/v1/bill-runs/{run.id}/cancel"
    cancelled = client.post(url, {"reason": "typo"}).json()
    assert cancelled["status"] == "CANCELLED"
    assert client.post(url).json()["status"] == "CANCELLED"
    assert AuditEntry.objects.get(action="BILL_RUN_CANCELLED").reason == "typo"
    bill_run(tenant, status="CREATED")
    done = BillRunFactory(tenant=tenant)
    refused = client.post(f"/api/v1/bill-runs/{done.id}/cancel")
    assert (refused.status_code, refused.json()["code"]) == (409, "BILL_RUN_STARTED")


def test_failures_are_listed_page_by_page_and_tried_again(queued):
    period, _ = priced_subscription({"model": "PER_UNIT", "rate": "1"})
    run = bill_run(period.tenant, status="PARTIALLY_FAILED", completed_at=APRIL)
    item = BillRunItem.objects.create(
        tenant=period.tenant,
        run=run,
        period=period,
        page=0,
        status="FAILED",
        failed_stage="Rate",
        error="Rate: no",
    )
    client = operator_client(period.tenant)
    url = f"/api/v1/bill-runs/{run.id}"
    failures = client.get(f"{url}/failures").json()
    assert failures["totalElements"] == 1
    (failure,) = failures["content"]
    assert (failure["stage"], failure["error"]) == ("Rate", "Rate: no")
    assert failure["customerId"] == period.subscription.customer.external_id
    answer = client.post(f"{url}/retry")
    assert (answer.status_code, answer.json()["status"]) == (202, "RUNNING")
    item.refresh_from_db()
    assert (item.status, item.error) == ("PENDING", "")
    assert client.post(f"{url}/retry").json()["code"] == "BILL_RUN_ACTIVE"
    assert BillRun.objects.get().completed_at is None


def test_a_run_is_not_retried_while_another_has_its_window():
    tenant = TenantFactory()
    period, _ = priced_subscription({"model": "PER_UNIT", "rate": "1"}, tenant=tenant)
    run = bill_run(tenant, status="FAILED", completed_at=APRIL)
    BillRunItem.objects.create(tenant=tenant, run=run, period=period, page=0, status="FAILED")
    bill_run(tenant, status="RUNNING")
    answer = operator_client(tenant).post(f"/api/v1/bill-runs/{run.id}/retry")
    assert (answer.status_code, answer.json()["code"]) == (409, "BILL_RUN_CONFLICT")
    assert BillRunItem.objects.get().status == "FAILED"


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("currency=USD", 1),
        ("currency=EUR", 0),
        ("status=OPEN&status=DRAFT", 1),
        ("issuedFrom=2026-04-02T00:00:00Z", 1),
        ("issuedBefore=2026-04-02T00:00:00Z", 0),
        ("dueBefore=2026-04-16T00:00:00Z", 0),
        ("dueFrom=2026-04-16T00:00:00Z", 1),
        ("kind=PERIOD", 1),
        ("kind=PROGRESS", 0),
    ],
)
def test_invoices_are_filtered(query, count):
    invoice = billed()
    assert invoice.due_at == datetime(2026, 4, 16, tzinfo=UTC)
    assert invoice.total == Decimal("49.70")
    listed = operator_client(invoice.tenant).get(f"{INVOICES}?{query}").json()
    assert listed["totalElements"] == count
