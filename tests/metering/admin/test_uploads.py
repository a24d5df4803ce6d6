"""The wizard: a file is looked at, mapped, rehearsed and counted, by whoever may."""

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from metering.admin import upload_forms
from metering.models import RunningTotal, Upload
from metering.services import upload_reading
from tests.factories import MemberFactory, UploadFactory, UserFactory
from tests.metering.conftest import NOW

CSV = b"account,metric,qty,note\ncust_1,tokens,5,<b>\ncust_1,tokens,-1,\n"


def browser_of(tenant, role="DEVELOPER"):
    user = UserFactory(is_staff=True)
    MemberFactory(tenant=tenant, user=user, role=role)
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def browser(seller):
    return browser_of(seller.tenant)


def send(browser, tenant, content=CSV):
    return browser.post(
        reverse("admin:metering_upload_add"),
        {"tenant": tenant.pk, "file": SimpleUploadedFile("usage.csv", content)},
    )


def page(browser, upload, name="change"):
    return browser.get(reverse(f"admin:metering_upload_{name}", args=[upload.pk]))


def read(upload):
    upload_reading.read_on(upload_id=upload.pk, clock=lambda: NOW)
    upload.refresh_from_db()


def test_a_file_goes_through_the_wizard(browser, seller):
    assert browser.get(reverse("admin:metering_upload_add")).status_code == 200
    answer = send(browser, seller.tenant)
    upload = Upload.objects.get()
    columns = reverse("admin:metering_upload_columns", args=[upload.pk])
    assert answer.url == columns

    shown = browser.get(columns).content.decode()
    assert "&lt;b&gt;" in shown  # the first rows, escaped
    quantity = re.search(r'<select name="quantity".*?</select>', shown, re.DOTALL)[0]
    assert '<option value="qty" selected>' in quantity

    told = {"customerId": "account", "metricName": "metric", "quantity": "qty", "check": "1"}
    assert browser.post(columns, told).url == reverse(
        "admin:metering_upload_change", args=[upload.pk]
    )
    read(upload)
    assert (upload.state, upload.dry_run, upload.failed) == ("PARTIAL", True, 1)
    shown = page(browser, upload).content.decode()
    assert "INVALID_QUANTITY" in shown
    assert "Count it" in shown

    browser.post(reverse("admin:metering_upload_change", args=[upload.pk]), {"count": "1"})
    read(upload)
    seller.drain()
    assert RunningTotal.objects.get().quantity == 5
    shown = page(browser, upload).content.decode()
    assert 'http-equiv="refresh"' not in shown
    report = page(browser, upload, "report")
    assert b"".join(report.streaming_content).count(b"\r\n") == 2


def test_a_page_refreshes_while_something_goes_on_and_may_be_stopped(browser, seller):
    send(browser, seller.tenant)
    upload = Upload.objects.get()
    columns = reverse("admin:metering_upload_columns", args=[upload.pk])
    browser.post(columns, {"customerId": "account", "quantity": "", "default_metric": "calls"})
    upload.refresh_from_db()
    assert (upload.state, upload.mapping["quantity"], upload.default_metric) == (
        "QUEUED",
        "",
        "calls",
    )
    assert 'http-equiv="refresh"' in page(browser, upload).content.decode()

    browser.post(reverse("admin:metering_upload_change", args=[upload.pk]), {"cancel": "1"})
    upload.refresh_from_db()
    assert upload.state == "FAILED"
    assert "Cancelled by" in page(browser, upload).content.decode()


def test_what_is_wrong_is_said_on_the_form(browser, seller, monkeypatch):
    assert "not UTF-8" in send(browser, seller.tenant, b"\xff\xfe\x00").content.decode()
    send(browser, seller.tenant)
    columns = reverse("admin:metering_upload_columns", args=[Upload.objects.get().pk])
    shown = browser.post(columns, {"metricName": "metric", "quantity": "qty"}).content.decode()
    assert "no column of the file gives customerId" in shown
    monkeypatch.setattr(upload_forms, "MOST_BYTES", 10)
    assert "the file has over" in send(browser, seller.tenant).content.decode()
    assert Upload.objects.count() == 1


def test_a_draft_opens_at_its_columns_and_a_forgotten_file_says_so(browser, seller):
    send(browser, seller.tenant)
    upload = Upload.objects.get()
    assert page(browser, upload).url == reverse("admin:metering_upload_columns", args=[upload.pk])
    upload.pieces.all().delete()
    answer = browser.get(reverse("admin:metering_upload_columns", args=[upload.pk]), follow=True)
    assert "no longer kept" in answer.content.decode()


def test_members_read_and_developers_write(seller):
    upload = UploadFactory(tenant=seller.tenant, state="COMPLETED")
    for role, may_write in (("MEMBER", False), ("DEVELOPER", True), ("OWNER", True)):
        browser = browser_of(seller.tenant, role)
        listed = browser.get(reverse("admin:metering_upload_changelist"))
        assert "usage.csv" in listed.content.decode()
        assert page(browser, upload).status_code == 200
        status = browser.get(reverse("admin:metering_upload_add")).status_code
        assert status == (200 if may_write else 403)
        answer = browser.post(reverse("admin:metering_upload_change", args=[upload.pk]), {})
        assert answer.status_code == (302 if may_write else 403)


def test_uploads_of_another_tenant_are_absent(browser):
    theirs = UploadFactory()
    for name in ("change", "columns", "report"):
        assert page(browser, theirs, name).status_code == 404
    listed = browser.get(reverse("admin:metering_upload_changelist")).content.decode()
    assert "usage.csv" not in listed
    assert (
        str(theirs.tenant.pk)
        not in browser.get(reverse("admin:metering_upload_add")).content.decode()
    )
    assert "Select a valid choice" in send(browser, theirs.tenant).content.decode()
