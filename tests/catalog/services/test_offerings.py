import pytest

from aforo.errors import Conflict, Refused
from aforo.tenancy.models import AuditEntry
from catalog.models import Offering
from catalog.services import offerings
from tests.factories import NOW, RatePlanFactory


@pytest.fixture
def plan(tenant):
    return RatePlanFactory(tenant=tenant)


@pytest.fixture
def create(tenant, actor, plan):
    def create(**fields):
        fields = {"code": "pro", "name": "Pro", "currency": "USD", "plans": [plan], **fields}
        return offerings.create_offering(tenant=tenant, actor=actor, now=NOW, **fields)

    return create


def test_an_offering_packages_plans_in_order(create, tenant, plan):
    second = RatePlanFactory(tenant=tenant)
    offering = create(plans=[second, plan], type="BUNDLE")
    items = offering.items.order_by("position")
    assert [item.rate_plan for item in items] == [second, plan]
    assert (offering.billing_mode, offering.status) == ("POSTPAID", "ACTIVE")
    entry = AuditEntry.objects.get()
    assert entry.action == "OFFERING_CREATED"
    assert entry.changes["plans"]["after"] == [second.name, plan.name]
    tenant.refresh_from_db()
    assert tenant.catalog_version == 2


@pytest.mark.parametrize("mode", ["PREPAID", "HYBRID", "BARTER"])
def test_only_postpaid_is_supported_yet(create, mode):
    with pytest.raises(Refused) as refusal:
        create(billing_mode=mode)
    (error,) = refusal.value.errors
    assert (error.field, error.code) == ("billingMode", "UNSUPPORTED")
    assert f"billingMode: '{mode}' is not supported, only POSTPAID is" in refusal.value.detail
    assert Offering.objects.count() == 0


def test_a_code_is_taken_once(create):
    create()
    with pytest.raises(Conflict, match="'pro'"):
        create()


def test_plans_are_of_its_currency(create):
    with pytest.raises(Refused, match="is priced in USD"):
        create(currency="EUR")


@pytest.mark.parametrize("plans", [0, 2])
def test_an_offering_holds_a_plan_once(create, plan, plans):
    with pytest.raises(Refused):
        create(plans=[plan] * plans)


def test_an_archived_plan_is_not_offered(create, tenant):
    with pytest.raises(Refused, match="is archived"):
        create(plans=[RatePlanFactory(tenant=tenant, archived_at=NOW)])


def test_names_change_and_currency_stays(create, actor):
    offering = create()
    edits = {"name": "Team", "status": "DRAFT"}
    offerings.edit_offering(offering=offering, edits=edits, actor=actor, now=NOW)
    offering.refresh_from_db()
    assert (offering.name, offering.status) == ("Team", "DRAFT")
    with pytest.raises(Refused, match="currency: cannot be changed"):
        offerings.edit_offering(offering=offering, edits={"currency": "EUR"}, actor=actor, now=NOW)


def test_an_archived_offering_is_on_record(create, actor):
    offering = offerings.archive_offering(offering=create(), actor=actor, now=NOW)
    assert offering.status == "ARCHIVED"
    entry = AuditEntry.objects.get(action="OFFERING_UPDATED")
    assert entry.changes == {"status": {"before": "ACTIVE", "after": "ARCHIVED"}}
