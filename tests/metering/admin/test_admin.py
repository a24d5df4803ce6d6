"""The admin of metering: all of it can be read and searched, none of it changed."""

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from aforo.tenancy.admin_base import ReadOnlyAdmin
from metering.admin.base import BoundedPaginator
from metering.admin.events import EventList
from metering.models import (
    DeadLetter,
    EventKey,
    HeldEvent,
    InboxBatch,
    RatingAdjustment,
    Receipt,
    RunningTotal,
    UniqueValue,
    UsageEvent,
)
from tests.factories import (
    NOW,
    BillableUnitFactory,
    MemberFactory,
    RatePlanVersionFactory,
    TenantFactory,
    UserFactory,
)
from tests.metering.conftest import subscribe
from tests.metering.events import billed, event

MODELS = [
    InboxBatch,
    Receipt,
    UsageEvent,
    EventKey,
    RunningTotal,
    UniqueValue,
    RatingAdjustment,
    DeadLetter,
    HeldEvent,
]


def url(model, page="changelist", *args):
    return reverse(f"admin:metering_{model._meta.model_name}_{page}", args=args)


def browser_of(**user):
    client = Client()
    client.force_login(
        UserFactory(is_staff=True, **user), backend="django.contrib.auth.backends.ModelBackend"
    )
    return client


def member_of(tenant):
    user = UserFactory(is_staff=True)
    MemberFactory(tenant=tenant, user=user, role="MEMBER")
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def root(db):
    return browser_of(is_superuser=True)


@pytest.fixture
def busy(seller):
    """A seller with at least one row in each table."""
    users = BillableUnitFactory(
        tenant=seller.tenant, name="users", aggregation="UNIQUE", event_field="user"
    )
    version = RatePlanVersionFactory(
        tenant=seller.tenant, prices={users: {"model": "PER_UNIT", "rate": "1"}}, published=True
    )
    subscribe(seller.tenant, "cust_2", version)
    seller.count(
        event(1, metadata={"note": "<script>größe</script>"}),
        event(2, quantity=-1),
        event(3, customerId="cust_2", metricName="users", metadata={"user": "a"}),
    )
    total = RunningTotal.objects.earliest("id")
    billed(id=total.id)
    seller.count(event(4))
    RatingAdjustment.objects.create(
        tenant_id=seller.tenant.id,
        running_total=total,
        amount="-0.5",
        reason="a grant",
        created_at=NOW,
    )
    seller.send(event(5))
    for model in MODELS:
        assert model.objects.exists()
    return seller


def ids_shown(answer):
    return [row.pk for row in answer.context["cl"].result_list]


@pytest.mark.parametrize("model", MODELS)
def test_every_table_is_registered_searched_and_never_counted_to_the_end(model):
    page = admin.site._registry[model]
    assert isinstance(page, ReadOnlyAdmin)
    assert page.search_fields
    assert page.show_full_result_count is False
    assert page.paginator is BoundedPaginator


@pytest.mark.parametrize("model", MODELS)
def test_a_superuser_reads_each_row(busy, root, model):
    listed = root.get(url(model))
    assert listed.status_code == 200
    assert len(ids_shown(listed)) == model.objects.count()
    for row in model.objects.all():
        page = root.get(url(model, "change", row.pk))
        assert page.status_code == 200
        assert b"<script>gr" not in page.content


@pytest.mark.parametrize("model", MODELS)
def test_any_search_is_answered(busy, root, model):
    for term in ("x", "17", "01a1fd80-6d88-76fa-a550-c4e3fe7674db", "%", "'\""):
        assert root.get(url(model), {"q": term}).status_code == 200


@pytest.mark.parametrize("model", MODELS)
def test_nobody_adds_changes_or_deletes(busy, root, model):
    row = model.objects.first()
    before = model.objects.values().get(pk=row.pk)
    assert root.get(url(model, "add")).status_code == 403
    assert root.post(url(model, "change", row.pk), {}).status_code == 403
    assert root.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    selected = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    root.post(url(model), selected)
    assert model.objects.values().get(pk=row.pk) == before


@pytest.mark.parametrize("model", [model for model in MODELS if model is not EventKey])
def test_members_see_the_rows_of_their_tenants_only(busy, model):
    rows = set(model.objects.values_list("pk", flat=True))
    assert set(ids_shown(member_of(busy.tenant).get(url(model)))) == rows
    stranger = member_of(TenantFactory())
    assert ids_shown(stranger.get(url(model))) == []
    for pk in rows:
        assert stranger.get(url(model, "change", pk)).status_code == 302
    assert browser_of().get(url(model)).status_code == 403


def test_a_member_finds_a_key_of_their_tenant_by_its_text(busy):
    mine, stranger = member_of(busy.tenant), member_of(TenantFactory())
    assert ids_shown(mine.get(url(EventKey))) == []
    assert len(ids_shown(mine.get(url(EventKey), {"q": "key-1"}))) == 1
    assert ids_shown(mine.get(url(EventKey), {"q": "key-2"})) == []
    assert ids_shown(stranger.get(url(EventKey), {"q": "key-1"})) == []


def test_a_superuser_finds_a_key_by_its_text_and_by_its_hash(busy, root):
    (found,) = ids_shown(root.get(url(EventKey), {"q": "key-1"}))
    assert ids_shown(root.get(url(EventKey), {"q": found.hex})) == [found]


def test_lists_are_narrowed_to_a_tenant(busy, root):
    other = TenantFactory()
    for model in (InboxBatch, Receipt, UsageEvent, RunningTotal, DeadLetter, HeldEvent):
        listed = root.get(url(model), {"tenant": busy.tenant.slug})
        assert len(ids_shown(listed)) == model.objects.count()
        assert ids_shown(root.get(url(model), {"tenant": other.slug})) == []


def test_events_of_a_total_are_listed_by_position(busy, root):
    total = RunningTotal.objects.latest("id")
    for number in range(10, 13):
        busy.send(event(number, customerId="cust_2", metricName="users", metadata={"user": "b"}))
    busy.drain()
    listed = root.get(url(UsageEvent), {"running_total_id": total.id})
    assert [row.position for row in listed.context["cl"].result_list] == [4, 3, 2, 1]


def test_other_lists_of_events_look_at_the_latest_only(busy, root, monkeypatch):
    monkeypatch.setattr("metering.admin.events.LATEST", 1)
    (latest,) = UsageEvent.objects.order_by("-id")[:1]
    assert ids_shown(root.get(url(UsageEvent))) == [latest.pk]
    assert admin.site._registry[UsageEvent].get_changelist(None) is EventList
    total = RunningTotal.objects.earliest("id")
    assert len(ids_shown(root.get(url(UsageEvent), {"running_total_id": total.id}))) == 1


def test_pages_end_where_nobody_leafs(busy, root, monkeypatch):
    monkeypatch.setattr("metering.admin.base.MOST_LISTED", 1)
    assert root.get(url(UsageEvent)).context["cl"].result_count == 1


def test_a_dead_letter_shows_its_event_as_people_read_it(busy, root):
    page = root.get(url(DeadLetter, "change", DeadLetter.objects.get().pk))
    assert "&quot;quantity&quot;: -1" in page.content.decode()


def test_a_letter_that_is_no_json_is_shown_as_it_is(busy, root):
    DeadLetter.objects.update(event=b"\xff<b>not JSON")
    page = root.get(url(DeadLetter, "change", DeadLetter.objects.get().pk))
    assert "\ufffd&lt;b&gt;not JSON" in page.content.decode()


def test_numbers_are_shown_without_trailing_zeros(busy, root):
    page = root.get(url(UsageEvent)).content.decode()
    assert "0.02<" in page.replace(" ", "").replace("\n", "")
    assert "1.000000000000" not in page


def test_lists_take_as_many_statements_for_many_rows_as_for_few(
    busy, root, django_assert_max_num_queries
):
    counts = []
    for _ in range(2):
        with django_assert_max_num_queries(60) as captured:
            for model in MODELS:
                root.get(url(model))
        counts.append(len(captured))
        busy.count(*(event(f"more {n}", metricName="tokens") for n in range(30)))
        busy.send(event(6), event(7))
    assert counts[0] == counts[1]
