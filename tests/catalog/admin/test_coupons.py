"""Coupons in the admin."""

from datetime import timedelta

import pytest

from catalog.models import Coupon, CouponRedemption
from tests.catalog.admin.test_admin import actions, browser_of, formset, press, url
from tests.factories import (
    NOW,
    CouponFactory,
    CouponRedemptionFactory,
    SandboxFactory,
    SubscriptionFactory,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def tenant():
    return SandboxFactory(clock_frozen_at=NOW)


@pytest.fixture
def browser(tenant):
    return browser_of(tenant)


def coupon_form(tenant, **fields):
    return {
        "tenant": tenant.pk,
        "code": "SPRING",
        "name": "",
        "discount_type": "PERCENTAGE",
        "discount_value": "10",
        "currency": "",
        "duration": "ONCE",
        "duration_in_months": "",
        "max_redemptions": "",
        "max_redemptions_per_customer": "1",
        "customer": "",
    } | fields


def test_a_coupon_is_made_and_a_wrong_one_is_named(browser, tenant):
    page = browser.post(url(Coupon, "add"), coupon_form(tenant, code="spring"))
    assert "in upper case only" in page.content.decode()
    answer = browser.post(url(Coupon, "add"), coupon_form(tenant))
    assert answer.status_code == 302, answer.content.decode()
    assert Coupon.objects.for_tenant(tenant).get().code == "SPRING"
    assert actions() == ["COUPON_CREATED"]
    assert "10 %" in browser.get(url(Coupon)).content.decode()


def test_only_limits_can_be_changed(browser, tenant):
    coupon = CouponFactory(tenant=tenant)
    page = url(Coupon, "change", coupon.pk)
    html = browser.get(page).content.decode()
    assert 'name="max_redemptions"' in html
    assert 'name="discount_value"' not in html
    rows = formset("redemptions")
    fields = {"name": "Spring", "max_redemptions": "3", "max_redemptions_per_customer": "1"}
    assert browser.post(page, fields | rows).status_code == 302
    coupon.refresh_from_db()
    assert (coupon.name, coupon.max_redemptions) == ("Spring", 3)


def test_a_coupon_is_given_and_taken_back_and_archived(browser, tenant):
    subscription = SubscriptionFactory(tenant=tenant)
    coupon = CouponFactory(tenant=tenant)
    given = {
        "tenant": tenant.pk,
        "coupon": coupon.pk,
        "customer": subscription.customer_id,
        "subscription": subscription.pk,
    }
    assert browser.post(url(CouponRedemption, "add"), given).status_code == 302
    again = browser.post(url(CouponRedemption, "add"), given).content.decode()
    assert "is redeemed already" in again
    redemption = coupon.redemptions.get()
    assert "1 coupons taken back" in press(browser, CouponRedemption, "revoke", redemption)
    redemption.refresh_from_db()
    assert redemption.revoked_at == NOW
    assert "1 coupons archived" in press(browser, Coupon, "archive", coupon)
    assert browser.get(url(CouponRedemption, "change", redemption.pk)).status_code == 200


def test_a_page_of_coupons_takes_few_statements(browser, tenant, django_assert_max_num_queries):
    for days in range(3):
        CouponRedemptionFactory(coupon__tenant=tenant, redeemed_at=NOW + timedelta(days=days))
    for model in (Coupon, CouponRedemption):
        with django_assert_max_num_queries(20):
            assert browser.get(url(model)).status_code == 200
