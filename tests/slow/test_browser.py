"""A plan from nothing to published in a real browser, as a product manager makes it."""

import shutil

import pytest
from django.conf import settings
from django.db import connections
from django.urls import reverse

from catalog.models import RatePlan
from tests.catalog.admin.test_admin import browser_of
from tests.factories import NOW, BillableUnitFactory, SandboxFactory

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs the extra e2e: pip install 'aforo[e2e]'"
)
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
)
PATIENCE = 15_000  # milliseconds; a second on a machine that has nothing else to do
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no Chromium on the PATH: apt-get install chromium"
    ),
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def tenant(db):
    return SandboxFactory(clock_frozen_at=NOW)


@pytest.fixture
def page(live_server, tenant, monkeypatch):
    """A page of somebody who writes the catalog; its database calls are of other threads."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # Playwright keeps a loop in this thread
    cookie = browser_of(tenant).cookies[settings.SESSION_COOKIE_NAME].value
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        context = browser.new_context(
            base_url=live_server.url, viewport={"width": 1280, "height": 900}
        )
        context.set_default_timeout(PATIENCE)
        playwright.expect.set_options(timeout=PATIENCE)
        context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}]
        )
        opened = context.new_page()
        faults = []
        opened.on("pageerror", lambda fault: faults.append(str(fault)))
        yield opened
        browser.close()
        connections.close_all()  # this loop has connections of its own
    assert faults == []


def choose_unit(page, number, name):
    """Pick a unit, in a list that searches while one types."""
    page.locator(f".field-unit:has([name='prices-{number}-unit']) .select2-selection").click()
    page.locator(".select2-search__field").last.fill(name)
    page.locator(".select2-results__option", has_text=name).first.click()


def fill_row(table, row, *texts):
    """Type the end, price and fee of a tier."""
    for column, text in zip(("end", "price", "fee"), texts, strict=False):
        table.locator(f"[name$='-{column}']").nth(row).fill(text)


def ends_of(table):
    return table.locator("[name$='-end']").evaluate_all("all => all.map(one => one.value)")


def test_a_plan_with_two_units_is_built_priced_and_published(page, tenant):
    BillableUnitFactory(tenant=tenant, name="tokens", aggregation="SUM")
    BillableUnitFactory(tenant=tenant, name="calls")
    page.goto(reverse("admin:catalog_rateplan_add"))
    page.fill("[name=name]", "Pro")
    page.select_option("[name=currency]", "EUR")
    page.click("[name=_save]")

    page.fill("[name=base_fee]", "49")
    page.get_by_text("Add another Unit price").click()
    choose_unit(page, 0, "tokens")
    tokens = page.locator("#id_prices-0-terms")
    tokens.locator("[data-terms-model]").select_option("GRADUATED")
    fill_row(tokens, 0, "10000", "0.008")
    for _ in range(2):
        tokens.get_by_text("Add a row").and_(tokens.locator(":visible")).click()
    fill_row(tokens, 1, "1000", "0.010")
    fill_row(tokens, 2, "", "much")
    worked = tokens.locator("[data-price-panel]")
    playwright.expect(worked).to_contain_text("tier 3, price per unit: must be a number")
    rows = tokens.locator("tr:has([name$='-end'])")
    beside = rows.nth(2).locator("[name$='-price'][aria-invalid=true] + [data-beside]")
    playwright.expect(beside).to_have_text("must be a number")
    fill_row(tokens, 2, "", "0.005")
    playwright.expect(rows.nth(1).locator("[name$='-end'] + [data-beside]")).to_be_visible()
    rows.nth(1).get_by_label("Move up").click()
    assert ends_of(tokens) == ["1000", "10000", ""]
    playwright.expect(worked).to_contain_text("15,000 units cost")
    playwright.expect(worked.locator("tr").last).to_contain_text("107")
    playwright.expect(tokens.locator("[data-beside]")).to_have_count(0)
    rows.nth(1).get_by_label("Remove").click()
    playwright.expect(worked.locator("tr").last).to_contain_text("80")

    page.get_by_text("Add another Unit price").click()
    choose_unit(page, 1, "calls")
    calls = page.locator("#id_prices-1-terms")
    calls.locator("[data-terms-model]").select_option("INCLUDED_QUOTA")
    calls.locator("[name$='-includedFree']").fill("1000")
    calls.locator("[name$='-rate']").fill("0.5")
    calls.locator("[name$='-blockSize']").fill("100")
    playwright.expect(calls.locator("svg polyline").last).to_be_visible()
    playwright.expect(calls.locator("[data-price-panel] tr").last).to_contain_text("70")
    page.click("[name=_continue]")
    playwright.expect(page.locator("[name=base_fee]")).to_have_value("49")

    page.locator("a[hx-get*='publish']").click()
    page.locator("#dialog button[type=submit]").click()
    playwright.expect(page.get_by_text("is published").first).to_be_visible()
    version = RatePlan.objects.get(tenant=tenant).versions.get()
    assert (version.is_published, version.base_fee) == (True, 49)
    prices = {price.unit.name: price.terms for price in version.prices.select_related("unit")}
    assert [tier["tierEnd"] for tier in prices["tokens"]["tiers"]] == ["1000", "-1"]
    assert prices["calls"]["model"] == "INCLUDED_QUOTA"
