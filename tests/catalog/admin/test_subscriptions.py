"""Subscriptions in the admin: every term on one form, every act a button with a reason."""

from datetime import UTC, datetime

import pytest
from django.urls import reverse

from aforo.tenancy.models import AuditEntry
from aforo.tenancy.models.members import Role
from catalog.models import Subscription
from catalog.services.subscriptions import create_subscription
from tests.catalog.admin.test_admin import browser_of, formset, url
from tests.factories import (
    CustomerFactory,
    OfferingFactory,
    RatePlanVersionFactory,
    SandboxFactory,
    SubscriptionFactory,
)

pytestmark = pytest.mark.django_db
CLOCK = datetime(2026, 3, 15, 12, tzinfo=UTC)
INLINES = formset("plans") | formset("periods") | formset("phases") | formset("keys")


@pytest.fixture
def tenant():
    return SandboxFactory(clock_frozen_at=CLOCK)


@pytest.fixture
def browser(tenant):
    return browser_of(tenant)


@pytest.fixture
def offering(tenant):
    version = RatePlanVersionFactory(tenant=tenant, published=True)
    return OfferingFactory(tenant=tenant, rate_plans=[version.rate_plan])


@pytest.fixture
def subscription(tenant, offering, actor):
    return create_subscription(
        tenant=tenant,
        actor=actor,
        now=CLOCK,
        customer=CustomerFactory(tenant=tenant),
        offering=offering,
        start=datetime(2026, 3, 1, tzinfo=UTC),
    )


def act(subscription, name):
    return reverse("admin:catalog_subscription_act", args=(subscription.pk, name))


def press(browser, subscription, name, **fields):
    answer = browser.post(act(subscription, name), {"reason": "by mail", **fields}, follow=True)
    subscription.refresh_from_db()
    return answer.content.decode()


def test_every_term_is_on_the_form(browser, tenant, offering):
    form = {
        "tenant": tenant.pk,
        "customer": CustomerFactory(tenant=tenant).pk,
        "offering": offering.pk,
        "start_at_0": "2026-03-01",
        "start_at_1": "00:00:00",
        "billing_cycle": "QUARTERLY",
        "billing_anchor": "CALENDAR",
        "trial_end_at_0": "2026-03-20",
        "trial_end_at_1": "00:00:00",
        "invoice_threshold": "100",
        **INLINES,
    }
    answer = browser.post(url(Subscription, "add"), form)
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    made = Subscription.objects.get()
    assert (made.state, made.billing_cycle, made.anchor_day, made.anchor_month) == (
        "TRIALING",
        "QUARTERLY",
        1,
        1,
    )
    assert (made.auto_convert, made.invoice_threshold) == (False, 100)


def test_a_page_offers_what_its_state_allows(browser, subscription):
    path = url(Subscription, "change", subscription.pk)
    page = browser.get(path).content.decode()
    offered = [
        name
        for name in ("change", "move", "pause", "suspend", "cancel", "resume", "convert")
        if act(subscription, name) in page
    ]
    assert offered == ["change", "move", "pause", "suspend", "cancel"]
    press(browser, subscription, "pause")
    page = browser.get(path).content.decode()
    assert act(subscription, "resume") in page
    assert act(subscription, "pause") not in page
    assert "by mail" in page


def test_pausing_resuming_and_cancelling(browser, subscription):
    assert "Pause: done." in press(browser, subscription, "pause")
    assert subscription.state == "PAUSED"
    press(browser, subscription, "resume")
    assert subscription.state == "ACTIVE"
    press(browser, subscription, "suspend")
    assert subscription.state == "SUSPENDED"
    press(browser, subscription, "reinstate")
    assert subscription.state == "ACTIVE"
    press(browser, subscription, "cancel", when="PERIOD_END")
    assert (subscription.state, subscription.cancels_at_end) == ("ACTIVE", True)
    press(browser, subscription, "cancel", when="NOW")
    assert subscription.state == "CANCELLED"
    reasons = AuditEntry.objects.filter(action__startswith="SUBSCRIPTION_").order_by("id")
    assert list(reasons.values_list("reason", flat=True)) == ["", *["by mail"] * 6]


def test_cancelling_at_a_time(browser, subscription):
    page = press(browser, subscription, "cancel", when="AT")
    assert "Say a time" in page
    press(browser, subscription, "cancel", when="AT", at_0="2026-03-20", at_1="00:00:00")
    assert subscription.end_at == datetime(2026, 3, 20, tzinfo=UTC)


def test_changing_offering_and_version(browser, tenant, subscription):
    version = RatePlanVersionFactory(tenant=tenant, published=True)
    other = OfferingFactory(tenant=tenant, rate_plans=[version.rate_plan])
    assert other.name in browser.get(act(subscription, "change")).content.decode()
    press(browser, subscription, "change", offering=other.pk, when="NOW", prorate="on")
    assert subscription.offering == other
    newer = RatePlanVersionFactory(
        tenant=tenant, rate_plan=version.rate_plan, number=2, published=True
    )
    press(browser, subscription, "move", version=newer.pk, when="PERIOD_END")
    assert newer in [plan.version for plan in subscription.plans.all()]


def test_no_reason_no_act(browser, subscription):
    press(browser, subscription, "pause", reason="")
    assert subscription.state == "ACTIVE"


def test_a_refusal_is_said_on_the_page(browser, tenant, subscription):
    foreign = OfferingFactory()
    page = press(browser, subscription, "change", offering=foreign.pk, when="NOW")
    assert "Select a valid choice" in page
    tenant.clock_frozen_at = datetime(2026, 3, 31, 23, 55, tzinfo=UTC)
    tenant.save()
    assert "try after that" in press(browser, subscription, "pause")
    assert subscription.state == "ACTIVE"


def test_only_whose_role_allows_it_acts(tenant, subscription):
    member = browser_of(tenant, Role.MEMBER)
    assert (
        act(subscription, "pause")
        not in member.get(url(Subscription, "change", subscription.pk)).content.decode()
    )
    assert member.post(act(subscription, "pause"), {"reason": "x"}).status_code == 403
    foreign = SubscriptionFactory()
    assert member.post(act(foreign, "pause"), {"reason": "x"}).status_code == 404
    subscription.refresh_from_db()
    assert subscription.state == "ACTIVE"
