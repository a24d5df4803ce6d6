"""Tenants and their sandboxes."""

from datetime import timedelta

import pytest

from aforo.errors import Conflict, Refused
from aforo.tenancy.models import AuditEntry, Tenant
from aforo.tenancy.services.actors import Actor
from aforo.tenancy.services.tenants import (
    bump_catalog,
    change_settings,
    create_sandbox,
    create_tenant,
)
from tests.factories import NOW, SandboxFactory, TenantFactory
from tests.threads import in_threads

pytestmark = pytest.mark.django_db
ACTOR = Actor.system("test")


def create(name="Acme Corp", **fields):
    return create_tenant(**{"name": name, "currency": "USD", "actor": ACTOR, "now": NOW} | fields)


def test_a_tenant_gets_a_slug_and_a_secret_of_its_own():
    first, second = create(), create()

    assert [first.slug, second.slug] == ["acme-corp", "acme-corp-2"]
    assert len(bytes(first.hash_secret)) == 32
    assert bytes(first.hash_secret) != bytes(second.hash_secret)
    entry = AuditEntry.objects.for_tenant(first).get()
    assert (entry.action, entry.target_type) == ("TENANT_CREATED", "Tenant")
    assert entry.changes["name"] == {"before": None, "after": "Acme Corp"}


@pytest.mark.parametrize("name", ["日本語", "!!!"])
def test_a_name_without_latin_letters_still_gets_a_slug(name):
    assert create(name).slug == "tenant"


def test_a_slug_that_was_asked_for_must_be_free():
    create(slug="acme")

    with pytest.raises(Conflict):
        create(slug="acme")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": "  "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"currency": "ZZZ"}, "currency"),
        ({"currency": "XAU"}, "currency"),
        ({"time_zone": "Mars/Base"}, "timeZone"),
        ({"country": "USA"}, "country"),
        ({"country": "ZZ"}, "country"),
        ({"currency": "ZZ"}, "currency"),
        ({"slug": "no spaces"}, "slug"),
        ({"slug": "Acme"}, "slug"),
    ],
)
def test_what_a_tenant_cannot_be_is_refused_by_field(wrong, field):
    with pytest.raises(Refused) as refusal:
        create(**wrong)

    assert field in {error.field for error in refusal.value.errors}
    assert not Tenant.objects.exists()


def test_a_sandbox_is_the_twin_of_a_live_tenant():
    live = create(currency="JPY", time_zone="Asia/Tokyo", country="JP")

    sandbox = create_sandbox(tenant=live, actor=ACTOR, now=NOW)

    assert sandbox.live_twin == live
    assert (sandbox.slug, sandbox.currency, sandbox.time_zone) == (
        "acme-corp-sandbox",
        "JPY",
        "Asia/Tokyo",
    )
    assert sandbox.settlement_delay == timedelta(0)
    assert bytes(sandbox.hash_secret) != bytes(live.hash_secret)


def test_a_tenant_has_one_sandbox_and_a_sandbox_none():
    sandbox = SandboxFactory()

    with pytest.raises(Conflict):
        create_sandbox(tenant=sandbox.live_twin, actor=ACTOR, now=NOW)
    with pytest.raises(Refused):
        create_sandbox(tenant=sandbox, actor=ACTOR, now=NOW)


@pytest.mark.django_db(transaction=True)
def test_eight_at_once_make_one_sandbox():
    live = TenantFactory()

    def make(_):
        try:
            return create_sandbox(tenant=live, actor=ACTOR, now=NOW)
        except Conflict:
            return None

    assert sum(made is not None for made in in_threads(8, make)) == 1


def test_settings_change_on_the_record_and_move_the_catalog_on():
    tenant = TenantFactory()

    changed = change_settings(
        tenant=tenant,
        settings={"unknown_metric": "ACCEPT_UNBILLED", "country": "DE"},
        actor=ACTOR,
        now=NOW,
    )

    tenant.refresh_from_db()
    assert (changed.unknown_metric, tenant.unknown_metric, tenant.country) == (
        "ACCEPT_UNBILLED",
        "ACCEPT_UNBILLED",
        "DE",
    )
    assert tenant.catalog_version == 2
    assert AuditEntry.objects.get().changes == {
        "unknown_metric": {"before": "REJECT", "after": "ACCEPT_UNBILLED"},
        "country": {"before": "", "after": "DE"},
    }


@pytest.mark.parametrize(
    "settings",
    [
        {"currency": "EUR"},
        {"unknown_metric": "NEVER"},
        {"settlement_delay": timedelta(seconds=-1)},
        {"clock_frozen_at": NOW},
    ],
)
def test_a_setting_that_cannot_be_is_refused(settings):
    tenant = TenantFactory()

    with pytest.raises(Refused):
        change_settings(tenant=tenant, settings=settings, actor=ACTOR, now=NOW)

    assert not AuditEntry.objects.exists()


def test_the_catalog_version_goes_up_by_one():
    tenant, other = TenantFactory(), TenantFactory()

    bump_catalog(tenant)
    bump_catalog(tenant.pk)

    tenant.refresh_from_db()
    other.refresh_from_db()
    assert (tenant.catalog_version, other.catalog_version) == (3, 1)
