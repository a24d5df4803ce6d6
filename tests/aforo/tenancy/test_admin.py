"""The admin of tenancy: who sees what, and that services do the changing."""

import re

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from aforo.tenancy.admin_base import ReadOnlyAdmin, TenantScopedAdmin
from aforo.tenancy.models import ApiKey, AuditEntry, Member, Tenant, TenantOwned
from aforo.tenancy.models.members import Role
from aforo.tenancy.plaintext import digest_of
from metering.models import Upload
from tests.factories import (
    ApiKeyFactory,
    MemberFactory,
    SandboxFactory,
    TenantFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db


def browser_of(user):
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def member_browser(tenant, role=Role.OWNER):
    user = UserFactory(is_staff=True)
    MemberFactory(tenant=tenant, user=user, role=role)
    return browser_of(user)


@pytest.fixture
def root():
    return browser_of(UserFactory(is_staff=True, is_superuser=True))


def url(model, page="changelist", *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def text_of(answer):
    return answer.content.decode()


OWNED = [model for model in admin.site._registry if issubclass(model, TenantOwned)]


@pytest.mark.parametrize("model", [Tenant, *OWNED], ids=lambda model: model.__name__)
def test_every_list_opens_and_can_be_searched(root, model):
    assert root.get(url(model), {"q": "x"}).status_code == 200
    page = admin.site._registry[model]
    assert page.search_fields
    assert page.list_filter
    assert isinstance(page, TenantScopedAdmin)


@pytest.mark.parametrize("model", [AuditEntry, ApiKey])
def test_a_member_sees_only_the_rows_of_their_tenants(model):
    mine, theirs = TenantFactory(), TenantFactory(name="Rival Ltd")
    browser = member_browser(mine)
    rows = {}
    for tenant in (mine, theirs):
        ApiKeyFactory(tenant=tenant, name=f"key of {tenant.slug}")
        revoke_by_hand(tenant)
        rows[tenant] = model.objects.for_tenant(tenant).first()

    listed = text_of(browser.get(url(model)))

    assert str(rows[mine].pk) in listed
    assert str(rows[theirs].pk) not in listed
    assert "Rival" not in listed
    assert browser.get(url(model, "change", rows[mine].pk)).status_code == 200
    assert browser.get(url(model, "change", rows[theirs].pk)).status_code == 302


def revoke_by_hand(tenant):
    browser = browser_of(UserFactory(is_staff=True, is_superuser=True))
    key = ApiKeyFactory(tenant=tenant)
    browser.post(url(ApiKey), {"action": "revoke", "_selected_action": [key.pk]})


def test_who_is_a_member_of_nothing_sees_nothing():
    TenantFactory()
    browser = browser_of(UserFactory(is_staff=True))

    for model in (Tenant, *OWNED):
        assert browser.get(url(model)).status_code == 403


def test_a_key_made_in_the_admin_is_shown_once():
    tenant = TenantFactory()
    browser = member_browser(tenant)
    form = {
        "tenant": tenant.pk,
        "kind": "METERING",
        "name": "shop",
        "role": "MEMBER",
        "source": "SDK",
    }

    page = text_of(browser.post(url(ApiKey, "add"), form, follow=True))

    shown = re.search(r"sk_live_[A-Za-z0-9]{40}", page)[0]
    key = ApiKey.objects.get(name="shop")
    assert (bytes(key.digest), key.source) == (digest_of(shown), "SDK")
    assert shown not in text_of(browser.get(url(ApiKey)))
    entry = AuditEntry.objects.get(action="API_KEY_ISSUED")
    assert (entry.actor_type, entry.role, entry.address) == ("USER", "OWNER", "127.0.0.1")
    assert entry.target_id == str(key.pk)


def test_a_key_cannot_be_made_for_a_tenant_of_others():
    browser, other = member_browser(TenantFactory()), TenantFactory()
    form = {
        "tenant": other.pk,
        "kind": "METERING",
        "name": "shop",
        "role": "MEMBER",
        "source": "SDK",
    }

    answer = browser.post(url(ApiKey, "add"), form)

    assert answer.status_code == 200
    assert "tenant" in answer.context["adminform"].form.errors
    assert not ApiKey.objects.exists()


def test_what_a_service_refuses_is_said_on_the_form():
    tenant = TenantFactory()
    browser = member_browser(tenant, Role.DEVELOPER)
    form = {
        "tenant": tenant.pk,
        "kind": "OPERATOR",
        "name": "mighty",
        "role": "OWNER",
        "source": "API",
    }

    answer = browser.post(url(ApiKey, "add"), form)

    assert answer.status_code == 200
    assert "role DEVELOPER may not issue a key of role OWNER" in text_of(answer)
    assert 'value="mighty"' in text_of(answer)
    assert not ApiKey.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_keys_are_revoked_where_the_role_allows_it():
    writes, reads, alien = TenantFactory.create_batch(3)
    user = UserFactory(is_staff=True)
    MemberFactory(tenant=writes, user=user, role=Role.DEVELOPER)
    MemberFactory(tenant=reads, user=user, role=Role.MEMBER)
    mine, readable, theirs = (ApiKeyFactory(tenant=tenant) for tenant in (writes, reads, alien))
    form = {"action": "revoke", "_selected_action": [mine.pk, readable.pk, theirs.pk]}

    page = text_of(browser_of(user).post(url(ApiKey), form, follow=True))

    assert "1 keys revoked" in page
    revoked = ApiKey.objects.filter(revoked_at__isnull=False)
    assert [key.pk for key in revoked] == [mine.pk]


def test_a_plain_member_reads_and_changes_nothing():
    tenant = TenantFactory()
    browser = member_browser(tenant, Role.MEMBER)
    key = ApiKeyFactory(tenant=tenant)

    assert browser.get(url(ApiKey)).status_code == 200
    assert browser.get(url(ApiKey, "add")).status_code == 403
    assert browser.post(url(Tenant, "change", tenant.pk), {"name": "x"}).status_code == 403
    browser.post(url(ApiKey), {"action": "revoke", "_selected_action": [key.pk]})
    key.refresh_from_db()
    assert not key.is_revoked


def test_settings_of_a_tenant_are_changed_by_the_service(root):
    tenant = SandboxFactory(name="Before")
    form = {
        "name": "After",
        "time_zone": "UTC",
        "country": "",
        "settlement_delay": "0",
        "unknown_metric": "ACCEPT_UNBILLED",
        "late_policy": "HOLD",
        "access_fallback": "CLOSED",
    }

    assert root.post(url(Tenant, "change", tenant.pk), form).status_code == 302

    tenant.refresh_from_db()
    assert (tenant.name, tenant.unknown_metric, tenant.catalog_version) == (
        "After",
        "ACCEPT_UNBILLED",
        2,
    )
    entry = AuditEntry.objects.get()
    assert entry.action == "TENANT_CHANGED"
    assert entry.changes["name"] == {"before": "Before", "after": "After"}


def test_members_are_added_by_superusers_and_changed_by_services(root):
    tenant, user = TenantFactory(), UserFactory()
    MemberFactory(tenant=tenant)

    root.post(url(Member, "add"), {"tenant": tenant.pk, "user": user.pk, "role": "MEMBER"})
    member = Member.objects.get(user=user)
    root.post(url(Member, "change", member.pk), {"role": "ADMIN"})
    root.post(url(Member, "delete", member.pk), {"post": "yes"})

    assert not Member.objects.filter(user=user).exists()
    said = set(AuditEntry.objects.values_list("action", flat=True))
    assert said == {"MEMBER_ADDED", "MEMBER_CHANGED", "MEMBER_REMOVED"}
    assert member_browser(tenant).get(url(Member, "add")).status_code == 403


@pytest.mark.parametrize("how", ["page", "action"])
def test_the_last_owner_is_not_removed(root, how):
    owner = MemberFactory()

    if how == "page":
        answer = root.post(url(Member, "delete", owner.pk), {"post": "yes"}, follow=True)
    else:
        form = {"action": "delete_selected", "_selected_action": [owner.pk], "post": "yes"}
        answer = root.post(url(Member), form, follow=True)

    assert "last owner" in text_of(answer)
    assert Member.objects.filter(pk=owner.pk).exists()


def test_tables_that_only_grow_are_read_only(root):
    read_only = [page for page in admin.site._registry.values() if isinstance(page, ReadOnlyAdmin)]

    assert {AuditEntry} <= {page.model for page in read_only}
    with_a_wizard = {Upload}  # which makes rows through its service
    for page in read_only:
        if page.model in with_a_wizard:
            continue
        assert root.get(url(page.model, "add")).status_code == 403
