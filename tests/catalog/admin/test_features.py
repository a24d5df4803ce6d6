"""Features in the admin: made by a form, granted in a matrix, overridden for one subscription."""

from decimal import Decimal

import pytest
from django.urls import reverse

from catalog.models import Feature, FeatureOverride, PlanFeature
from tests.catalog.admin.test_admin import actions, browser_of, press, url
from tests.factories import (
    NOW,
    BillableUnitFactory,
    FeatureFactory,
    RatePlanFactory,
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


def test_plans_get_features_in_the_matrix_without_any_json(browser, tenant):
    unit = BillableUnitFactory(tenant=tenant, name="calls")
    form = {"tenant": tenant.pk, "key": "api", "kind": "LIMIT", "unit": unit.pk}
    assert browser.post(url(Feature, "add"), form | {"unit": ""}).status_code == 200
    assert browser.post(url(Feature, "add"), form).status_code == 302
    api, sso = Feature.objects.get(), FeatureFactory(tenant=tenant, key="sso")
    tier = FeatureFactory(tenant=tenant, key="tier", kind="VALUE")
    plan = RatePlanFactory(tenant=tenant, name="Pro")
    page = reverse("admin:catalog_feature_matrix")
    cells = {
        f"cell-{plan.pk}-{feature.pk}": typed
        for feature, typed in ((api, "1,000"), (sso, "on"), (tier, "large"))
    }
    assert browser.post(page, cells).status_code == 302
    granted = PlanFeature.objects.for_tenant(tenant).order_by("feature__key")
    assert [(row.limit, row.value) for row in granted] == [
        (Decimal(1000), ""),
        (None, ""),
        (None, "large"),
    ]
    shown = browser.get(page).content.decode()
    assert "limit of calls" in shown
    assert 'value="1000"' in shown
    cells[f"cell-{plan.pk}-{api.pk}"] = "many"
    cells[f"cell-{plan.pk}-{sso.pk}"] = ""
    told = browser.post(page, cells, follow=True).content.decode()
    assert "neither a number nor" in told
    assert "1 cells changed" in told
    assert granted.all().count() == 2
    assert actions()[-1] == "PLAN_FEATURE_TAKEN"


def test_an_override_is_made_and_ended_in_the_admin(browser, tenant):
    subscription = SubscriptionFactory(tenant=tenant)
    feature = FeatureFactory(tenant=tenant, key="sso")
    form = {
        "tenant": tenant.pk,
        "subscription": subscription.pk,
        "feature": feature.pk,
        "enabled": "on",
        "limit": "",
        "value": "",
        "expires_at_0": "2090-01-01",
        "expires_at_1": "00:00",
        "reason": "a trial",
    }
    answer = browser.post(url(FeatureOverride, "add"), form)
    assert answer.status_code == 302, answer.content.decode()
    made = FeatureOverride.objects.get()
    assert (made.reason, made.expires_at.year) == ("a trial", 2090)
    assert "1 overrides ended" in press(browser, FeatureOverride, "end", made)
    assert not FeatureOverride.objects.exists()
