"""Members: one owner always stays."""

import pytest

from aforo.errors import Conflict, Forbidden, Refused
from aforo.tenancy.models import AuditEntry, Member
from aforo.tenancy.models.members import Role
from aforo.tenancy.roles import may_grant
from aforo.tenancy.services.actors import Actor
from aforo.tenancy.services.members import add_member, change_role, remove_member
from tests.factories import NOW, MemberFactory, TenantFactory, UserFactory
from tests.threads import in_threads

pytestmark = pytest.mark.django_db
SYSTEM = Actor.system("test")


def actor(role):
    return Actor.user(UserFactory(), role=role)


def test_a_user_joins_changes_and_leaves_on_the_record():
    tenant, user = TenantFactory(), UserFactory()
    MemberFactory(tenant=tenant)

    member = add_member(tenant=tenant, user=user, role=Role.MEMBER, actor=SYSTEM, now=NOW)
    change_role(member=member, role=Role.ADMIN, actor=SYSTEM, now=NOW)
    remove_member(member=member, actor=SYSTEM, now=NOW)

    assert not Member.objects.filter(user=user).exists()
    entries = AuditEntry.objects.order_by("id").values_list("action", "changes")
    assert list(entries) == [
        ("MEMBER_ADDED", {"role": {"before": None, "after": "MEMBER"}}),
        ("MEMBER_CHANGED", {"role": {"before": "MEMBER", "after": "ADMIN"}}),
        ("MEMBER_REMOVED", {"role": {"before": "ADMIN", "after": None}}),
    ]


def test_nobody_joins_twice():
    member = MemberFactory()

    with pytest.raises(Conflict):
        add_member(tenant=member.tenant, user=member.user, role=Role.MEMBER, actor=SYSTEM, now=NOW)


def test_the_last_owner_stays_one():
    owner = MemberFactory()
    MemberFactory(tenant=owner.tenant, role=Role.ADMIN)
    MemberFactory()  # an owner, but of another tenant

    with pytest.raises(Refused):
        change_role(member=owner, role=Role.ADMIN, actor=SYSTEM, now=NOW)
    with pytest.raises(Refused):
        remove_member(member=owner, actor=SYSTEM, now=NOW)

    owner.refresh_from_db()
    assert owner.role == Role.OWNER


@pytest.mark.django_db(transaction=True)
def test_of_eight_owners_who_leave_at_once_one_stays():
    tenant = TenantFactory()
    owners = MemberFactory.create_batch(8, tenant=tenant)

    def leave(index):
        try:
            remove_member(member=owners[index], actor=SYSTEM, now=NOW)
        except Refused:
            return False
        return True

    assert sum(in_threads(8, leave)) == 7
    assert Member.objects.for_tenant(tenant).count() == 1


def test_an_admin_can_neither_make_nor_unmake_an_owner():
    owner, plain = MemberFactory(), MemberFactory(role=Role.MEMBER)
    MemberFactory(tenant=owner.tenant)
    admin = actor(Role.ADMIN)

    for refused in (
        lambda: change_role(member=plain, role=Role.OWNER, actor=admin, now=NOW),
        lambda: change_role(member=owner, role=Role.ADMIN, actor=admin, now=NOW),
        lambda: remove_member(member=owner, actor=admin, now=NOW),
    ):
        with pytest.raises(Forbidden):
            refused()
    assert change_role(member=plain, role=Role.ADMIN, actor=admin, now=NOW).role == Role.ADMIN


def test_a_role_must_exist():
    with pytest.raises(Refused):
        change_role(member=MemberFactory(), role="KING", actor=SYSTEM, now=NOW)


@pytest.mark.parametrize("role", Role)
def test_nobody_grants_more_than_they_hold(role):
    granted = {other for other in Role if may_grant(role, other)}

    assert granted == {
        Role.OWNER: set(Role),
        Role.ADMIN: set(Role) - {Role.OWNER},
    }.get(role, {role, Role.MEMBER})
    assert not may_grant("", role) or role == Role.MEMBER
