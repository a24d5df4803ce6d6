import pytest
from django.db import connection

from aforo.errors import Conflict, Refused
from aforo.tenancy.models import AuditEntry
from aforo.tenancy.services.actors import Actor
from catalog import aliases
from catalog.models import Customer, CustomerAlias
from catalog.services import customers
from tests.factories import NOW, CustomerFactory, SubscriptionFactory, TenantFactory

SECRET = "sk_live_" + "a" * 40


@pytest.fixture
def create(tenant, actor):
    def create(**fields):
        return customers.create_customer(tenant=tenant, actor=actor, now=NOW, **fields)

    return create


@pytest.fixture
def customer(tenant):
    return CustomerFactory(tenant=tenant, external_id="acme")


def add(customer, value, **fields):
    return customers.add_alias(
        customer=customer, value=value, actor=Actor.system(), now=NOW, **fields
    )


def test_a_customer_is_on_record(create, tenant):
    customer = create(external_id="cust_1", name="Acme", email="a@acme.test", currency="EUR")
    assert Customer.objects.get() == customer
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.target_name) == ("CUSTOMER_CREATED", "Acme")
    assert entry.changes["external_id"] == {"before": None, "after": "cust_1"}
    tenant.refresh_from_db()
    assert tenant.catalog_version == 2


def test_without_an_external_id_a_customer_is_known_by_its_own(create):
    customer = create(name="Acme")
    assert customer.external_id == str(customer.id)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"external_id": "x" * 201}, "externalId"),
        ({"external_id": SECRET}, "externalId"),
        ({"external_id": "afo_1"}, "externalId"),
        ({"external_id": "alias:00"}, "externalId"),
        ({"external_id": "a\0b"}, "externalId"),
        ({"email": "nobody"}, "email"),
        ({"account_manager_email": "nobody"}, "accountManagerEmail"),
        ({"currency": "ABC"}, "currency"),
    ],
)
def test_impossible_customers_are_refused_by_field(create, fields, field):
    with pytest.raises(Refused) as refusal:
        create(**fields)
    assert [error.field for error in refusal.value.errors] == [field]
    assert Customer.objects.count() == 0


def test_an_external_id_is_taken_once(create, customer):
    with pytest.raises(Conflict, match="'acme'"):
        create(external_id="acme")


def test_an_external_id_is_nobodys_alias(create, customer):
    add(customer, "app one")
    with pytest.raises(Conflict, match="alias of another"):
        create(external_id="app one")


def test_a_change_is_on_record(customer, actor):
    customers.edit_customer(
        customer=customer, edits={"name": "Acme Inc", "language": "de"}, actor=actor, now=NOW
    )
    entry = AuditEntry.objects.get()
    assert entry.changes == {
        "name": {"before": "", "after": "Acme Inc"},
        "language": {"before": "en", "after": "de"},
    }
    with pytest.raises(Refused, match="externalId: cannot be changed"):
        customers.edit_customer(customer=customer, edits={"external_id": "b"}, actor=actor, now=NOW)


def test_a_running_customer_is_not_archived(tenant, customer, actor):
    subscription = SubscriptionFactory(tenant=tenant, customer=customer)
    with pytest.raises(Conflict, match="active subscriptions"):
        customers.archive_customer(customer=customer, actor=actor, now=NOW)
    subscription.state = "CANCELLED"
    subscription.save()
    archived = customers.archive_customer(customer=customer, actor=actor, now=NOW)
    assert archived.archived_at == NOW


def test_an_alias_is_found_by_its_digest(tenant, customer):
    alias = add(customer, "Billing App")
    assert alias.label == "Billing App"
    assert bytes(alias.digest) == aliases.digest_of(tenant.id, "Billing App")
    tenant.refresh_from_db()
    assert tenant.catalog_version == 2


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (SECRET, "SUBJECT"),
        ("afo_" + "b" * 44, "AGENT"),
        ("plain-looking", "API_KEY"),
        ("plain-looking", "SUBSCRIPTION_KEY"),
    ],
)
def test_a_secret_is_stored_nowhere(customer, value, kind):
    alias = add(customer, value, kind=kind)
    assert alias.label == ""
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(a)::text FROM customer_aliases a")
        assert value not in cursor.fetchone()[0]
        cursor.execute("SELECT row_to_json(a)::text FROM audit_entries a")
        assert value not in cursor.fetchone()[0]


def test_the_same_alias_once_more_changes_nothing(customer):
    first = add(customer, "app")
    assert add(customer, "app") == first
    assert AuditEntry.objects.count() == 1


def test_an_alias_names_one_customer(tenant, customer):
    other = CustomerFactory(tenant=tenant, external_id="other")
    add(customer, "app")
    with pytest.raises(Conflict, match="names another customer"):
        add(other, "app")
    with pytest.raises(Conflict, match="external id of another"):
        add(other, "acme")
    assert CustomerAlias.objects.count() == 1


def test_tenants_may_use_the_same_alias(customer):
    foreign = CustomerFactory(tenant=TenantFactory())
    first, second = add(customer, "app"), add(foreign, "app")
    assert bytes(first.digest) != bytes(second.digest)


@pytest.mark.parametrize("value", ["", "x" * 1001, "alias:00", "a\0b"])
def test_an_impossible_alias_is_refused(customer, value):
    with pytest.raises(Refused):
        add(customer, value)


def test_a_removed_alias_is_on_record(customer, actor):
    alias = add(customer, "app")
    customers.remove_alias(alias=alias, actor=actor, now=NOW)
    assert CustomerAlias.objects.count() == 0
    entry = AuditEntry.objects.get(action="CUSTOMER_ALIAS_REMOVED")
    assert entry.changes["label"] == {"before": "app", "after": None}


def change(customer, edits, actor):
    return customers.edit_customer(customer=customer, edits=edits, actor=actor, now=NOW)


def test_a_vat_number_is_spelt_as_its_country_does(create, actor):
    customer = create(country="DE", tax_number="de 136 695 976")
    assert customer.tax_number == "DE136695976"
    again = {"tax_number": "DE 136 695 976"}
    assert change(customer, again, actor).tax_number == "DE136695976"


def test_what_is_no_vat_number_is_refused_and_changes_nothing(create, actor):
    customer = create(country="DE", tax_number="DE136695976")
    with pytest.raises(Refused, match="taxNumber: 'DE1' is no VAT number of DE"):
        change(customer, {"tax_number": "DE1"}, actor)
    with pytest.raises(Refused, match="'DE136695976' is no VAT number of FR"):
        change(customer, {"country": "FR"}, actor)
    customer.refresh_from_db()
    assert (customer.country, customer.tax_number) == ("DE", "DE136695976")
