"""The admin of the catalog: services do the changing, published versions are read-only."""

from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from aforo.tenancy.models import AuditEntry
from aforo.tenancy.models.members import Role
from catalog.models import (
    BillableUnit,
    BillingEntity,
    Customer,
    CustomerAlias,
    Offering,
    Product,
    RatePlan,
    RatePlanVersion,
    Subscription,
    UnitPrice,
)
from tests.factories import NOW as CLOCK
from tests.factories import (
    PER_UNIT,
    BillableUnitFactory,
    CustomerAliasFactory,
    CustomerFactory,
    MemberFactory,
    OfferingFactory,
    ProductFactory,
    RatePlanFactory,
    RatePlanVersionFactory,
    SandboxFactory,
    SubscriptionFactory,
    TenantFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db
NO_ROWS = {"TOTAL_FORMS": 0, "INITIAL_FORMS": 0}


@pytest.fixture
def tenant():
    return SandboxFactory(clock_frozen_at=CLOCK)


def browser_of(tenant, role=Role.ADMIN, *others):
    user = UserFactory(is_staff=True)
    MemberFactory(tenant=tenant, user=user, role=role)
    for other, other_role in others:
        MemberFactory(tenant=other, user=user, role=other_role)
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def browser(tenant):
    return browser_of(tenant)


def url(model, page="changelist", *args):
    return reverse(f"admin:catalog_{model._meta.model_name}_{page}", args=args)


def formset(prefix, *rows, initial=0):
    form = {f"{prefix}-TOTAL_FORMS": len(rows), f"{prefix}-INITIAL_FORMS": initial}
    for number, row in enumerate(rows):
        form |= {f"{prefix}-{number}-{field}": value for field, value in row.items()}
    return form


def press(browser, model, name, *rows):
    form = {"action": name, "_selected_action": [row.pk for row in rows]}
    return browser.post(url(model), form, follow=True).content.decode()


def actions():
    return list(AuditEntry.objects.order_by("id").values_list("action", flat=True))


PRODUCT = {
    "name": "Search",
    "type": "AI_AGENT",
    "description": "",
    "lifecycle": "GA",
    "status": "PUBLISHED",
    "metadata-name": ["owner", ""],
    "metadata-value": ["search team", ""],
}


def test_a_product_is_made_changed_and_archived_by_services(browser, tenant):
    browser.post(url(Product, "add"), {"tenant": tenant.pk, **PRODUCT})
    product = Product.objects.get()
    assert (product.tenant, product.name, product.created_at) == (tenant, "Search", CLOCK)
    assert product.metadata == {"owner": "search team"}

    browser.post(url(Product, "change", product.pk), PRODUCT | {"lifecycle": "DEPRECATED"})
    press(browser, Product, "archive", product)

    product.refresh_from_db()
    assert (product.lifecycle, product.status) == ("DEPRECATED", "ARCHIVED")
    assert actions() == ["PRODUCT_CREATED", "PRODUCT_UPDATED", "PRODUCT_UPDATED"]
    entry = AuditEntry.objects.order_by("id")[1]
    assert entry.changes == {"lifecycle": {"before": "GA", "after": "DEPRECATED"}}
    assert (entry.actor_type, entry.role) == ("USER", "ADMIN")


def test_what_is_no_text_in_metadata_stays_until_it_is_touched(browser, tenant):
    product = ProductFactory(tenant=tenant, type="AI_AGENT", metadata={"rank": 3, "owner": "a"})
    rows = {"metadata-name": ["rank", "owner"], "metadata-value": ["3", "b"]}
    browser.post(url(Product, "change", product.pk), PRODUCT | rows)
    product.refresh_from_db()
    assert product.metadata == {"rank": 3, "owner": "b"}


@pytest.mark.parametrize(("role", "chosen"), [(Role.ADMIN, True), (Role.MEMBER, False)])
def test_the_only_tenant_that_one_writes_for_is_chosen_already(tenant, role, chosen):
    page = browser_of(tenant, role, (TenantFactory(), Role.MEMBER))
    if chosen:
        form = page.get(url(Product, "add")).context["adminform"].form
        assert form.initial["tenant"] == tenant.pk
    else:
        assert page.get(url(Product, "add")).status_code == 403


def test_currencies_and_countries_are_chosen_by_name(browser):
    page = browser.get(url(BillingEntity, "add")).content.decode()
    for choice in ("EUR, Euro", "Germany (DE)", "America/New York"):
        assert f">{choice}</option>" in page
    assert "XXX" not in page


def test_what_a_service_refuses_is_said_on_the_form(browser, tenant):
    product = ProductFactory(tenant=tenant, type="AI_AGENT")
    form = PRODUCT | {"lifecycle": "RETIRED"}
    answer = browser.post(url(Product, "change", product.pk), form)
    assert "cannot go from GA to RETIRED" in answer.content.decode()
    assert actions() == []


def test_a_reader_of_one_tenant_writes_only_in_another(tenant):
    reads = TenantFactory()
    browser = browser_of(tenant, Role.ADMIN, (reads, Role.MEMBER))
    answer = browser.post(url(Product, "add"), {"tenant": reads.pk, **PRODUCT})
    assert "role MEMBER may not do this" in answer.content.decode()
    assert Product.objects.count() == 0


UNIT = {
    "name": "tokens",
    "unit_label": "token",
    "description": "",
    "aggregation": "SUM",
    "event_field": "",
    "source_metric": "",
    "filter_conditions-field": ["status", ""],
    "filter_conditions-operator": ["LESS_THAN", "EQUALS"],
    "filter_conditions-value": ["400", ""],
    "allowed_sources": "SDK, FILE",
    "key_fields": "",
    "divide_by": "1",
    "rounding": "",
    "rounding_places": "0",
    "tax_code": "",
    "unit_cost": "0.0001",
    "product_type": "API",
}


def test_a_unit_is_made_with_its_products(browser, tenant):
    product = ProductFactory(tenant=tenant)
    form = {"tenant": tenant.pk, **UNIT, "products": [product.pk]}
    browser.post(url(BillableUnit, "add"), form)
    unit = BillableUnit.objects.get()
    assert (unit.unit_cost, list(unit.products.all())) == (Decimal("0.0001"), [product])
    condition = {"field": "status", "operator": "LESS_THAN", "value": "400"}
    assert (unit.filter_conditions, unit.allowed_sources) == ([condition], ["SDK", "FILE"])

    form = UNIT | {"unit_label": "tok", "products": []}
    browser.post(url(BillableUnit, "change", unit.pk), form)
    unit.refresh_from_db()
    assert (unit.unit_label, list(unit.products.all())) == ("tok", [])
    assert actions() == [
        "BILLABLE_UNIT_CREATED",
        "BILLABLE_UNIT_UPDATED",
        "BILLABLE_UNIT_UPDATED",
    ]


def test_bad_conditions_are_said_on_the_form(browser, tenant):
    form = {"tenant": tenant.pk, **UNIT, "filter_conditions-value": ["x" * 5000, ""]}
    answer = browser.post(url(BillableUnit, "add"), form)
    assert "filterConditions[0]" in answer.content.decode()
    assert BillableUnit.objects.count() == 0


VERSION = {
    "base_fee": "0",
    "base_fee_timing": "ARREARS",
    "setup_fee": "0",
    "minimum_spend": "0",
    "maximum_spend": "",
    "discount_percent": "0",
    "discount_amount": "0",
    "proration": "SECOND",
    "dimension_key": "",
    "dimension_pricing-value": [""],
    "dimension_pricing-multiplier": [""],
}


def priced(unit, rate):
    """A price per unit as the page sends it."""
    return {
        "unit": unit.pk,
        "currency": "",
        "timing": "ARREARS",
        "terms-model": "PER_UNIT",
        "terms-rate": rate,
        "group_by": "",
        "rollover_periods": "0",
        "rollover_cap": "",
        "rollover_cap_percent": "",
    }


def test_a_plan_is_made_priced_published_and_followed(browser, tenant):
    unit = BillableUnitFactory(tenant=tenant, name="tokens")
    form = {"tenant": tenant.pk, "name": "Pro", "description": "", "currency": "USD"}
    answer = browser.post(url(RatePlan, "add"), form | formset("versions") | {"_save": "Save"})
    draft = RatePlanVersion.objects.get()
    assert answer.url == url(RatePlanVersion, "change", draft.pk)

    fees = VERSION | {"base_fee": "49"} | formset("prices", priced(unit, "0.01"))
    browser.post(url(RatePlanVersion, "change", draft.pk), fees | formset("currencies"))
    draft.refresh_from_db()
    assert draft.base_fee == Decimal(49)
    assert draft.prices.get().terms == {"model": "PER_UNIT", "rate": "0.01", "includedFree": "0"}

    assert "1 versions published" in press(browser, RatePlanVersion, "publish", draft)
    assert "1 drafts begun" in press(browser, RatePlan, "begin_version", draft.rate_plan)
    assert list(draft.rate_plan.versions.values_list("number", "status")) == [
        (2, "DRAFT"),
        (1, "PUBLISHED"),
    ]
    assert actions() == [
        "RATE_PLAN_CREATED",
        "RATE_PLAN_DRAFT_UPDATED",
        "RATE_PLAN_PUBLISHED",
        "RATE_PLAN_DRAFTED",
    ]


def test_prices_of_a_draft_are_changed_and_removed(browser, tenant):
    kept, gone = (BillableUnitFactory(tenant=tenant) for _ in range(2))
    draft = RatePlanVersionFactory(tenant=tenant, prices={kept: PER_UNIT, gone: PER_UNIT})
    rows = [
        {
            "id": price.pk,
            "version": draft.pk,
            **priced(price.unit, "0.02"),
        }
        for price in draft.prices.order_by("position")
    ]
    rows[1]["DELETE"] = "on"
    written = VERSION | formset("prices", *rows, initial=2) | formset("currencies")
    browser.post(url(RatePlanVersion, "change", draft.pk), written)
    assert [(price.unit, price.terms["rate"]) for price in draft.prices.all()] == [(kept, "0.02")]


def test_contradictory_terms_are_said_on_the_form(browser, tenant):
    draft = RatePlanVersionFactory(tenant=tenant)
    unit = BillableUnitFactory(tenant=tenant)
    written = VERSION | formset("prices", priced(unit, "-1")) | formset("currencies")
    answer = browser.post(url(RatePlanVersion, "change", draft.pk), written)
    assert "Rate per unit, or per block: must not be negative" in answer.content.decode()
    assert UnitPrice.objects.count() == 0


def test_a_published_version_is_read_only(browser, tenant):
    unit = BillableUnitFactory(tenant=tenant, name="tokens")
    version = RatePlanVersionFactory(tenant=tenant, prices={unit: PER_UNIT}, published=True)
    path = url(RatePlanVersion, "change", version.pk)
    page = browser.get(path)
    assert page.status_code == 200
    assert "tokens" in page.content.decode()
    assert 'name="base_fee"' not in page.content.decode()
    assert 'name="prices-0-terms"' not in page.content.decode()
    assert browser.post(path, {"base_fee": "1"}).status_code == 403
    assert browser.get(url(RatePlanVersion, "add")).status_code == 403


def test_a_version_is_published_from_its_own_page_after_a_question(browser, tenant):
    draft = RatePlanVersionFactory(tenant=tenant)
    path = reverse("admin:catalog_rateplanversion_publish_this", args=(draft.pk,))
    assert "Publish this version?" in browser.get(path).content.decode()
    draft.refresh_from_db()
    assert draft.status == "DRAFT"
    browser.post(path, {"_form_submitted": "True"})
    draft.refresh_from_db()
    assert draft.status == "PUBLISHED"

    foreign = RatePlanVersionFactory()
    path = reverse("admin:catalog_rateplanversion_publish_this", args=(foreign.pk,))
    assert browser.post(path, {"_form_submitted": "True"}).status_code == 403
    foreign.refresh_from_db()
    assert foreign.status == "DRAFT"


def test_an_offering_is_made_with_its_plans(browser, tenant):
    plan = RatePlanFactory(tenant=tenant)
    form = {
        "tenant": tenant.pk,
        "code": "pro",
        "name": "Pro",
        "description": "",
        "type": "STANDALONE",
        "status": "ACTIVE",
        "billing_mode": "POSTPAID",
        "trial_days": 0,
        "currency": "USD",
    }
    empty = browser.post(url(Offering, "add"), form | formset("items"))
    assert "holds at least one rate plan" in empty.content.decode()
    browser.post(url(Offering, "add"), form | formset("items", {"rate_plan": plan.pk}))
    offering = Offering.objects.get()
    assert [item.rate_plan for item in offering.items.all()] == [plan]

    form |= {"name": "Team"}
    browser.post(url(Offering, "change", offering.pk), form | formset("items"))
    press(browser, Offering, "archive", offering)
    offering.refresh_from_db()
    assert (offering.name, offering.status) == ("Team", "ARCHIVED")
    assert actions() == ["OFFERING_CREATED", "OFFERING_UPDATED", "OFFERING_UPDATED"]


CUSTOMER = {
    "external_id": "acme",
    "name": "Acme",
    "email": "",
    "currency": "",
    "country": "",
    "address": "",
    "tax_number": "",
    "language": "en",
}


def test_a_customer_is_made_and_changed(browser, tenant):
    nothing = formset("subscriptions") | formset("aliases")
    browser.post(url(Customer, "add"), {"tenant": tenant.pk, **CUSTOMER} | nothing)
    customer = Customer.objects.get()
    change = {"name": "New", "account_manager_email": "eve@seller.test"}
    browser.post(url(Customer, "change", customer.pk), CUSTOMER | change | nothing)
    customer.refresh_from_db()
    assert (customer.external_id, customer.name) == ("acme", "New")
    assert customer.account_manager_email == "eve@seller.test"
    press(browser, Customer, "archive", customer)
    assert actions() == ["CUSTOMER_CREATED", "CUSTOMER_UPDATED", "CUSTOMER_ARCHIVED"]


def test_an_alias_is_added_without_its_secret_and_removed(browser, tenant):
    secret = "sk_live_" + "q" * 40
    customer = CustomerFactory(tenant=tenant)
    form = {"customer": customer.pk, "kind": "API_KEY", "value": secret}
    browser.post(url(CustomerAlias, "add"), form)
    alias = CustomerAlias.objects.get()
    assert alias.label == ""
    assert secret not in browser.get(url(CustomerAlias)).content.decode()
    assert secret not in browser.get(url(Customer, "change", customer.pk)).content.decode()
    browser.post(url(CustomerAlias, "delete", alias.pk), {"post": "yes"})
    assert CustomerAlias.objects.count() == 0
    assert actions() == ["CUSTOMER_ALIAS_ADDED", "CUSTOMER_ALIAS_REMOVED"]


def test_an_alias_of_another_tenants_customer_is_not_added(browser):
    customer = CustomerAliasFactory().customer
    form = {"customer": customer.pk, "kind": "SUBJECT", "value": "app"}
    browser.post(url(CustomerAlias, "add"), form)
    assert CustomerAlias.objects.count() == 1


def test_a_subscription_is_begun_and_cancelled(browser, tenant):
    version = RatePlanVersionFactory(tenant=tenant, published=True)
    form = {
        "tenant": tenant.pk,
        "customer": CustomerFactory(tenant=tenant).pk,
        "offering": OfferingFactory(tenant=tenant, rate_plans=[version.rate_plan]).pk,
        "billing_entity": "",
        "start_at_0": "2026-03-01",
        "start_at_1": "00:00:00",
        "end_at_0": "",
        "end_at_1": "",
        "anchor_day": "",
        "billing_cycle": "MONTHLY",
        "auto_convert": "on",
        **formset("plans"),
        **formset("periods"),
        **formset("phases"),
        **formset("keys"),
    }
    answer = browser.post(url(Subscription, "add"), form)
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    subscription = Subscription.objects.get()
    assert (subscription.anchor_day, subscription.periods.count()) == (1, 3)

    path = url(Subscription, "change", subscription.pk)
    assert "2026" in browser.get(path).content.decode()
    assert "1 subscriptions cancelled" in press(browser, Subscription, "cancel", subscription)
    subscription.refresh_from_db()
    assert (subscription.state, subscription.end_at) == ("CANCELLED", CLOCK)
    assert actions() == [
        "BILLING_ENTITY_CREATED",
        "SUBSCRIPTION_CREATED",
        "SUBSCRIPTION_CANCELLED",
    ]


def test_a_billing_entity_is_made_and_changed(browser, tenant):
    form = {
        "tenant": tenant.pk,
        "code": "US",
        "display_name": "Acme US",
        "legal_name": "Acme Inc",
        "currency": "USD",
        "time_zone": "America/New_York",
        "country": "US",
        "address": "",
        "tax_number": "",
        "invoice_prefix": "US",
        "payment_terms_days": 30,
        "grace_days": 0,
        "tax_engine": "NONE",
        "is_default": "on",
    }
    browser.post(url(BillingEntity, "add"), form)
    entity = BillingEntity.objects.get()
    assert entity.is_default
    wrong = browser.post(url(BillingEntity, "change", entity.pk), form | {"time_zone": "Mars"})
    assert wrong.context["adminform"].form.errors["time_zone"]
    browser.post(url(BillingEntity, "change", entity.pk), form | {"payment_terms_days": 14})
    entity.refresh_from_db()
    assert entity.payment_terms_days == 14


def test_an_action_changes_only_where_the_role_allows_it(tenant):
    reads = TenantFactory()
    browser = browser_of(tenant, Role.ADMIN, (reads, Role.MEMBER))
    mine, readable = (SubscriptionFactory(tenant=owner) for owner in (tenant, reads))
    foreign = SubscriptionFactory()
    page = press(browser, Subscription, "cancel", mine, readable, foreign)
    assert "1 subscriptions cancelled" in page
    assert set(Subscription.objects.filter(state="CANCELLED")) == {mine}


@pytest.mark.parametrize(
    "model", [Product, BillableUnit, RatePlan, RatePlanVersion, Offering, Customer, Subscription]
)
def test_a_list_takes_as_many_statements_for_twenty_as_for_two(
    browser, tenant, model, django_assert_max_num_queries
):
    factories = {
        Product: ProductFactory,
        BillableUnit: BillableUnitFactory,
        RatePlan: RatePlanFactory,
        RatePlanVersion: RatePlanVersionFactory,
        Offering: OfferingFactory,
        Customer: CustomerFactory,
        Subscription: SubscriptionFactory,
    }
    factories[model].create_batch(20, tenant=tenant)
    with django_assert_max_num_queries(12):
        assert browser.get(url(model)).status_code == 200
