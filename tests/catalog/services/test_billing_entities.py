import pytest

from aforo.errors import Conflict, Refused
from aforo.tenancy.models import AuditEntry
from catalog.models import BillingEntity
from catalog.services import billing_entities
from tests.factories import NOW, BillingEntityFactory, TenantFactory


@pytest.mark.django_db
def test_a_first_entity_is_named_after_its_tenant(actor):
    tenant = TenantFactory(name="Acme", currency="EUR", time_zone="Europe/Paris", country="FR")
    entity = billing_entities.create_default_entity(tenant=tenant, actor=actor, now=NOW)
    assert (entity.code, entity.display_name, entity.legal_name) == ("MAIN", "Acme", "Acme")
    assert (entity.currency, entity.time_zone, entity.country) == ("EUR", "Europe/Paris", "FR")
    assert entity.is_default
    again = billing_entities.create_default_entity(tenant=tenant, actor=actor, now=NOW)
    assert again == entity
    assert AuditEntry.objects.filter(action="BILLING_ENTITY_CREATED").count() == 1


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"currency": "ABC"}, "currency"),
        ({"time_zone": "Mars/Olympus"}, "timeZone"),
        ({"time_zone": "../../etc/passwd"}, "timeZone"),
        ({"code": ""}, "code"),
        ({"payment_terms_days": -1}, "paymentTermsDays"),
    ],
)
def test_impossible_entities_are_refused_by_field(tenant, actor, fields, field):
    given = {"code": "US", "display_name": "US", "currency": "USD", **fields}
    with pytest.raises(Refused) as refusal:
        billing_entities.create_entity(tenant=tenant, actor=actor, now=NOW, **given)
    assert [error.field for error in refusal.value.errors] == [field]
    assert BillingEntity.objects.count() == 0


def test_a_code_is_taken_once(tenant, actor):
    BillingEntityFactory(tenant=tenant, code="US")
    with pytest.raises(Conflict, match="'US'"):
        billing_entities.create_entity(
            tenant=tenant, actor=actor, now=NOW, code="US", display_name="US", currency="USD"
        )


def test_the_currency_stays(tenant, actor):
    entity = BillingEntityFactory(tenant=tenant)
    edits = {"address": "1 Main St"}
    billing_entities.edit_entity(entity=entity, edits=edits, actor=actor, now=NOW)
    entity.refresh_from_db()
    assert entity.address == "1 Main St"
    with pytest.raises(Refused, match="currency: cannot be changed"):
        billing_entities.edit_entity(entity=entity, edits={"currency": "EUR"}, actor=actor, now=NOW)
    with pytest.raises(Refused, match="timeZone"):
        billing_entities.edit_entity(
            entity=entity, edits={"time_zone": "Nowhere"}, actor=actor, now=NOW
        )
