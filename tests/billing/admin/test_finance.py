"""What finance does in the admin: runs watched and repaired, invoices explained and moved."""

from datetime import UTC, datetime
from io import BytesIO
from zipfile import ZipFile

import pytest
from django.urls import reverse

from aforo.tenancy.models import AuditEntry
from billing.models import BillRunItem, Invoice
from billing.services.invoices import bill_periods
from tests.billing.build import bill_run, priced_subscription
from tests.billing.metered import meter
from tests.catalog.admin.test_admin import browser_of
from tests.factories import SandboxFactory

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 2, tzinfo=UTC)
TIERS = [{"tierEnd": "2", "unitPrice": "0.10"}, {"tierEnd": "-1", "unitPrice": "0.05"}]
PRICE = {"model": "GRADUATED", "tiers": TIERS}


@pytest.fixture
def tenant():
    return SandboxFactory(clock_frozen_at=NOW)


@pytest.fixture
def browser(tenant):
    return browser_of(tenant, "BILLING_ADMIN")


def billed(tenant, *, auto_finalize=False):
    period, (unit,) = priced_subscription(PRICE, tenant=tenant)
    meter(period, unit, [1] * 5)
    run = bill_run(tenant, auto_finalize=auto_finalize, status="COMPLETED", completed_at=NOW)
    BillRunItem.objects.create(tenant=tenant, run=run, period=period, page=0, status="BILLED")
    bill_periods(run=run, period_ids=[period.id], now=NOW)
    return Invoice.objects.get(period=period)


def failed_run(tenant):
    period, _ = priced_subscription(PRICE, tenant=tenant)
    run = bill_run(tenant, status="FAILED", completed_at=NOW)
    BillRunItem.objects.create(
        tenant=tenant, run=run, period=period, page=0, status="FAILED",
        failed_stage="Tax", error="no rate for XX",
    )  # fmt: skip
    return run


def page_of(model, row):
    return reverse(f"admin:billing_{model}_change", args=[row.pk])


def act(model, row, name):
    return reverse(f"admin:billing_{model}_act", args=[row.pk, name])


def shown(browser, path):
    answer = browser.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def test_an_invoice_explains_its_lines_tier_by_tier(browser, tenant):
    text = shown(browser, page_of("invoice", billed(tenant)))
    for said in ("tier 1", "0.1", "tier 2", "0.05", "0.35 USD"):
        assert said in text
    assert "null:" not in text


def test_an_invoice_shows_what_each_of_the_ten_stages_did(browser, tenant):
    invoice = billed(tenant)
    answer = browser.get(page_of("invoice", invoice))
    stages = answer.context["stages"]
    names = [stage["stage"] for stage in invoice.stage_record.stages]
    assert [stage.name for stage in stages] == names
    assert len(stages) == 10
    assert stages[-1].after == "0.35"
    assert [stage.changed for stage in stages if stage.changed] == ["+0.35"]


def test_a_line_leads_to_the_events_behind_it(browser, tenant):
    invoice = billed(tenant)
    (line,) = browser.get(page_of("invoice", invoice)).context["lines"]
    (span,) = line.spans
    assert (span.events, span.first, span.last) == (5, 1, 5)
    events = browser.get(span.page)
    assert events.status_code == 200
    assert events.context["cl"].result_count == 5


def test_the_events_of_a_line_are_handed_out_as_csv(browser, tenant):
    invoice = billed(tenant)
    path = reverse("admin:billing_invoice_line_events", args=[invoice.pk, invoice.lines.get().pk])
    rows = b"".join(browser.get(path).streaming_content).decode().splitlines()
    assert len(rows) == 6
    assert browser_of(SandboxFactory()).get(path).status_code == 404


def test_an_audit_export_is_for_those_who_answer_for_the_money(browser, tenant):
    invoice = billed(tenant, auto_finalize=True)
    path = reverse("admin:billing_invoice_audit", args=[invoice.pk])
    archive = ZipFile(BytesIO(b"".join(browser.get(path).streaming_content)))
    assert {"invoice.json", "lines.json", "verify.py"} <= set(archive.namelist())
    assert AuditEntry.objects.get(action="INVOICE_EXPORTED").target_id == str(invoice.pk)
    assert browser_of(tenant, "MEMBER").get(path).status_code == 403
    assert browser_of(SandboxFactory()).get(path).status_code == 404


@pytest.mark.parametrize(
    ("status", "offered"),
    [
        ("DRAFT", {"finalize", "refresh", "void"}),
        ("OPEN", {"void"}),
        ("OVERDUE", {"void", "uncollectible"}),
        ("UNCOLLECTIBLE", {"void"}),
        ("PAID", set()),
        ("VOID", {"regenerate"}),
    ],
)
def test_an_invoice_offers_what_may_follow(browser, tenant, status, offered):
    invoice = billed(tenant, auto_finalize=status != "DRAFT")
    Invoice.objects.for_tenant(tenant).update(status=status)
    assert set(browser.get(page_of("invoice", invoice)).context["acts"]) == offered


def test_a_draft_is_refreshed_then_finalized_with_a_reason(browser, tenant):
    invoice = billed(tenant)
    browser.post(act("invoice", invoice, "refresh"), {"reason": "late usage"})
    assert AuditEntry.objects.get(action="INVOICE_REFRESHED").reason == "late usage"
    answer = browser.post(act("invoice", invoice, "finalize"), {"reason": "checked"})
    assert answer.headers["Location"] == page_of("invoice", invoice)
    invoice.refresh_from_db()
    assert (invoice.status, invoice.number) == ("OPEN", "INV-2026-0001")
    assert AuditEntry.objects.get(action="INVOICE_FINALIZED").reason == "checked"


def test_an_invoice_is_voided_for_a_reason_and_made_anew(browser, tenant):
    invoice = billed(tenant, auto_finalize=True)
    again = browser.post(act("invoice", invoice, "void"), {"reason": " "})
    assert again.context["form"].errors["reason"]
    browser.post(act("invoice", invoice, "void"), {"reason": "wrong address"})
    invoice.refresh_from_db()
    assert invoice.status == "VOID"
    answer = browser.post(act("invoice", invoice, "regenerate"), {"finalize": "on"})
    fresh = Invoice.objects.get(replaces=invoice)
    assert answer.headers["Location"] == page_of("invoice", fresh)
    assert fresh.status == "OPEN"
    (old,) = browser.get(page_of("invoice", fresh)).context["relatives"]
    assert old[:2] == ("replaces", invoice.number)
    (new,) = browser.get(page_of("invoice", invoice)).context["relatives"]
    assert new[:2] == ("is replaced by", fresh.number)


def test_an_overdue_invoice_is_given_up_for_a_reason(browser, tenant):
    invoice = billed(tenant, auto_finalize=True)
    Invoice.objects.for_tenant(tenant).update(status="OVERDUE")
    browser.post(act("invoice", invoice, "uncollectible"), {"reason": "insolvent"})
    invoice.refresh_from_db()
    assert invoice.status == "UNCOLLECTIBLE"


def test_a_part_is_done_nothing_to_and_leads_to_its_whole(browser, tenant):
    part = billed(tenant)
    whole = billed(tenant)
    Invoice.objects.filter(pk=whole.pk).update(kind="CONSOLIDATED")
    Invoice.objects.filter(pk=part.pk).update(part_of=whole)
    context = browser.get(page_of("invoice", part)).context
    assert context["acts"] == {}
    assert context["relatives"][0][0] == "a part of"
    assert browser.get(page_of("invoice", whole)).context["relatives"][0][0] == "part"
    assert browser.get(act("invoice", part, "void")).status_code == 404


@pytest.mark.parametrize("name", ["void", "finalize", "refresh"])
def test_readers_and_strangers_press_nothing(tenant, name):
    invoice = billed(tenant)
    reader = browser_of(tenant, "MEMBER")
    assert reader.get(page_of("invoice", invoice)).context["acts"] == {}
    for client, status in ((reader, 403), (browser_of(SandboxFactory()), 404)):
        assert client.post(act("invoice", invoice, name), {"reason": "x"}).status_code == status
    invoice.refresh_from_db()
    assert invoice.status == "DRAFT"


def test_a_run_shows_its_progress_and_its_invoices(browser, tenant):
    invoice = billed(tenant)
    context = browser.get(page_of("billrun", invoice.bill_run)).context
    assert (context["percent"], context["progress"].billed, context["item_count"]) == (100, 1, 1)
    assert context["invoiced"] == [(1, "draft", "0.35 USD")]
    assert [row[0] for row in context["invoices"]] == [invoice]
    listed = browser.get(context["all_invoices"])
    assert listed.context["cl"].result_count == 1


def test_a_failure_says_whose_when_where_and_why_and_is_tried_again(browser, tenant, queued):
    run = failed_run(tenant)
    text = shown(browser, page_of("billrun", run))
    for said in ("2026-03-01", "Tax", "no rate for XX", "Retry failures"):
        assert said in text
    browser.post(act("billrun", run, "retry"), {"reason": "rate added"})
    run.refresh_from_db()
    assert run.status == "RUNNING"
    assert AuditEntry.objects.get(action="BILL_RUN_RETRIED").reason == "rate added"


def test_a_run_that_was_never_started_is_cancelled_or_started(browser, tenant, queued):
    run = bill_run(tenant, status="CREATED")
    assert set(browser.get(page_of("billrun", run)).context["acts"]) == {"execute", "cancel"}
    browser.post(act("billrun", run, "cancel"), {"reason": "wrong month"})
    run.refresh_from_db()
    assert run.status == "CANCELLED"
    again = bill_run(tenant, status="CREATED")
    browser.post(act("billrun", again, "execute"))
    again.refresh_from_db()
    assert again.status == "WAITING"
    assert 'http-equiv="refresh"' in shown(browser, page_of("billrun", again))


@pytest.mark.parametrize("name", ["cancel", "execute"])
def test_only_who_may_write_steers_a_run(tenant, name):
    run = bill_run(tenant, status="CREATED")
    assert browser_of(tenant, "MEMBER").post(act("billrun", run, name)).status_code == 403
    assert browser_of(SandboxFactory()).post(act("billrun", run, name)).status_code == 404
    run.refresh_from_db()
    assert run.status == "CREATED"


def test_a_reconciliation_says_where_every_event_is(browser, tenant):
    run = billed(tenant).bill_run
    path = reverse("admin:billing_billrun_reconciliation", args=[run.pk])
    assert "Balanced: every event received is accounted for." in shown(browser, path)
    assert browser.get(path).context["found"].billed == 5
    table = b"".join(browser.get(f"{path}.csv").streaming_content).decode().splitlines()
    assert table[:3] == ["place,events", "received,5", "billed,5"]
    assert table[-1] == "difference,0"
    stranger = browser_of(SandboxFactory())
    assert stranger.get(path).status_code == stranger.get(f"{path}.csv").status_code == 404


def test_a_preview_shows_the_running_period_and_writes_nothing():
    tenant = SandboxFactory(clock_frozen_at=datetime(2026, 3, 20, tzinfo=UTC))
    period, (unit,) = priced_subscription(PRICE, tenant=tenant)
    meter(period, unit, [1] * 5)
    path = reverse("billing_subscription_preview", args=[period.subscription_id])
    answer = browser_of(tenant, "MEMBER").get(path)
    assert answer.context["cards"][0] == ("Total as it stands", "0.35 USD")
    assert [row[0] for row in answer.context["lines"][0].charges] == ["tier 1", "tier 2"]
    assert len(answer.context["stages"]) == 10
    assert not Invoice.objects.exists()
    assert browser_of(SandboxFactory()).get(path).status_code == 404


def test_a_preview_says_when_no_period_runs(browser, tenant):
    period, _ = priced_subscription(PRICE, tenant=tenant)  # of March, and it is April
    path = reverse("billing_subscription_preview", args=[period.subscription_id])
    assert "no period of the subscription runs" in shown(browser, path)
