"""Dead letters in the admin: found by what is wrong, mended, sent again or given up."""

import pytest
from django.test import Client
from django.urls import reverse

from aforo.tenancy.models import AuditEntry
from catalog.models import BillableUnit
from metering.admin import letter_acts
from metering.models import DeadLetter, LetterDecision, UnknownMetric
from tests.factories import (
    NOW,
    DeadLetterFactory,
    LetterDecisionFactory,
    MemberFactory,
    TenantFactory,
    UserFactory,
)
from tests.metering.events import event, outcomes
from tests.metering.letters import assert_balanced, define

LIST = reverse("admin:metering_deadletter_changelist")
OVERVIEW = reverse("admin:metering_deadletter_overview")
DECIDE = reverse("admin:metering_deadletter_decide")
UNIT = reverse("admin:metering_deadletter_unit")


def browser_of(*tenants, role="ADMIN"):
    user = UserFactory(is_staff=True)
    for tenant in tenants:
        MemberFactory(tenant=tenant, user=user, role=role)
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def page_of(letter):
    return reverse("admin:metering_deadletter_change", args=[letter.pk])


@pytest.fixture
def tenant(db):
    return TenantFactory()


@pytest.fixture
def browser(tenant):
    return browser_of(tenant)


def state(letter):
    letter.refresh_from_db()
    return letter.status


def said(answer):
    return [str(message) for message in answer.context["messages"]]


def test_the_overview_groups_what_is_open_and_offers_what_helps(browser, tenant):
    DeadLetterFactory.create_batch(2, tenant=tenant, occurrences=600)
    DeadLetterFactory(tenant=tenant, code="UNREADABLE_BATCH", metric="")
    DeadLetterFactory(code="UNKNOWN_CUSTOMER")
    shown = browser.get(OVERVIEW).content.decode()
    assert "3 open letters, for 1,201 events in all" in shown
    assert "Create the unit and replay" in shown
    assert "UNKNOWN_CUSTOMER" not in shown
    assert shown.count(">Replay</a>") == 1  # not for what cannot be opened
    assert shown.count(">Discard</a>") == 2


def test_the_overview_of_nothing_says_so(browser):
    assert "Nothing that was refused is open" in browser.get(OVERVIEW).content.decode()


def test_the_overview_shows_one_tenant_at_a_time(db):
    letters = [DeadLetterFactory(metric=name) for name in ("gpu", "tpu")]
    stranger = DeadLetterFactory(metric="secret")
    browser = browser_of(*(letter.tenant for letter in letters))
    shown = browser.get(OVERVIEW, {"tenant": letters[1].tenant.slug}).content.decode()
    assert ("tpu" in shown, ">gpu<" in shown) == (True, False)
    hidden = browser.get(OVERVIEW, {"tenant": stranger.tenant.slug}).content.decode()
    assert "secret" not in hidden


def test_a_group_is_replayed_with_one_question(seller):
    seller.count(*(event(number, metricName="gpu") for number in range(3)))
    define(seller.tenant, "gpu")
    browser = browser_of(seller.tenant, role="DEVELOPER")
    about = {
        "tenant": seller.tenant.slug,
        "act": "REPLAY",
        "code": "UNKNOWN_METRIC",
        "metric": "gpu",
    }
    asked = browser.get(DECIDE, about).content.decode()
    assert "3 events will be sent again" in asked
    assert DeadLetter.objects.filter(status="OPEN").count() == 3
    told = browser.post(DECIDE, about | {"reason": "mended"}, follow=True)
    assert said(told) == ["3 letters (3 events) sent again."]
    seller.drain()
    assert outcomes() == {"dead": 3, "unbilled": 3}
    assert_balanced(seller.tenant, received=3)
    entry = AuditEntry.objects.get(action="DEAD_LETTERS_REPLAYED")
    assert (entry.actor_type, entry.role, entry.reason) == ("USER", "DEVELOPER", "mended")


def test_what_is_ticked_is_asked_about_and_discarded_with_a_reason(browser, tenant):
    letters = DeadLetterFactory.create_batch(3, tenant=tenant)
    asked = browser.post(
        LIST, {"action": "discard", "_selected_action": [letters[0].pk, letters[1].pk]}
    )
    assert "2 events will never be counted" in asked.content.decode()
    about = {"tenant": tenant.slug, "act": "DISCARD", "ids": asked.context["ids"]}
    refused = browser.post(DECIDE, about)
    assert "This field is required" in refused.content.decode()
    assert LetterDecision.objects.count() == 0
    told = browser.post(DECIDE, about | {"reason": "a test"}, follow=True)
    assert said(told) == ["2 letters (2 events) discarded."]
    assert [state(letter) for letter in letters] == ["DISCARDED", "DISCARDED", "OPEN"]


def test_letters_of_two_tenants_are_not_decided_together(db):
    letters = DeadLetterFactory.create_batch(2)
    browser = browser_of(*(letter.tenant for letter in letters))
    ticked = [letter.pk for letter in letters]
    told = browser.post(LIST, {"action": "replay", "_selected_action": ticked}, follow=True)
    assert "Choose letters of one tenant" in said(told)[0]


def test_very_many_are_not_ticked(browser, tenant, monkeypatch):
    monkeypatch.setattr(letter_acts, "MOST_CHOSEN", 1)
    ticked = [letter.pk for letter in DeadLetterFactory.create_batch(2, tenant=tenant)]
    told = browser.post(LIST, {"action": "replay", "_selected_action": ticked}, follow=True)
    assert "by what is wrong" in said(told)[0]


def test_a_unit_is_created_for_a_group_and_its_letters_are_sent_again(seller):
    seller.count(event(metricName="gpu"))
    browser = browser_of(seller.tenant, role="PRODUCT_MANAGER")
    about = {"tenant": seller.tenant.slug, "metric": "gpu"}
    form = browser.get(UNIT, about)
    assert 'value="gpu"' in form.content.decode()
    filled = about | {"name": "gpu", "aggregation": "UNIQUE", "product_type": "API"}
    refused = browser.post(UNIT, filled)
    assert "name it" in refused.content.decode()  # the field whose values are counted
    assert not BillableUnit.objects.filter(name="gpu").exists()
    told = browser.post(UNIT, filled | {"aggregation": "SUM", "unit_cost": "0.5"}, follow=True)
    assert said(told)[1] == "1 letter (1 event) sent again."
    unit = BillableUnit.objects.get(name="gpu")
    assert (unit.aggregation, unit.unit_cost) == ("SUM", unit.unit_cost.__class__("0.5"))
    seller.drain()
    assert_balanced(seller.tenant, received=1)


def test_a_letter_shows_its_event_why_and_what_helps(browser, tenant):
    letter = DeadLetterFactory(tenant=tenant, event=b'{"metricName":"<script>","quantity":1}')
    shown = browser.get(page_of(letter)).content.decode()
    assert "&quot;metricName&quot;: &quot;&lt;script&gt;&quot;" in shown
    assert "<script>&quot;" not in shown
    assert "no billable unit counts that metric" in shown
    assert "create the unit, price it if it is to be billed, then replay" in shown
    assert letter.detail.replace("'", "&#x27;") in shown


def test_an_event_is_edited_and_a_mistake_is_said_beside_the_field(browser, tenant):
    letter = DeadLetterFactory(tenant=tenant)
    wrong = '{"customerId": "cust_1", "metricName": "calls", "quantity": -1}'
    refused = browser.post(page_of(letter), {"save": "1", "event": wrong})
    assert refused.status_code == 200
    assert refused.context["form"].errors == {"event": ["event: quantity must not be negative"]}
    assert "-1}" in refused.content.decode()  # what was typed is still there
    right = wrong.replace("-1", "1")
    told = browser.post(page_of(letter), {"save": "1", "event": right}, follow=True)
    assert said(told) == ["A replay sends this event instead."]
    letter.refresh_from_db()
    assert bytes(letter.edited) == b'{"customerId":"cust_1","metricName":"calls","quantity":1}'
    browser.post(page_of(letter), {"save": "1", "event": ""})
    letter.refresh_from_db()
    assert letter.edited is not None


def test_one_letter_is_replayed_or_discarded_on_its_page(browser, tenant):
    first, second = DeadLetterFactory.create_batch(2, tenant=tenant)
    told = browser.post(page_of(first), {"replay": "1"}, follow=True)
    assert said(told) == ["Its events are sent again."]
    assert state(first) == "REPLAYED"
    refused = browser.post(page_of(second), {"discard": "1", "reason": " "})
    assert "say why these events will not be counted" in refused.content.decode()
    browser.post(page_of(second), {"discard": "1", "reason": "a test"})
    assert state(second) == "DISCARDED"
    again = browser.post(page_of(second), {"replay": "1"})
    assert "is DISCARDED" in again.content.decode()


def test_members_see_but_decide_nothing(tenant):
    letter = DeadLetterFactory(tenant=tenant)
    member = browser_of(tenant, role="MEMBER")
    shown = member.get(page_of(letter)).content.decode()
    assert 'name="replay"' not in shown
    assert 'name="event"' not in shown
    assert "Replay</a>" not in member.get(OVERVIEW).content.decode()
    for pressed in ("save", "replay", "discard"):
        answer = member.post(page_of(letter), {pressed: "1", "event": "{}", "reason": "x"})
        assert answer.status_code == 403
    about = {"tenant": tenant.slug, "act": "DISCARD", "code": "UNKNOWN_METRIC", "reason": "x"}
    assert member.post(DECIDE, about).status_code == 403
    assert member.get(DECIDE, about).status_code == 403
    assert member.post(UNIT, {"tenant": tenant.slug, "metric": "gpu"}).status_code == 403
    member.post(LIST, {"action": "replay", "_selected_action": [letter.pk]})
    assert state(letter) == "OPEN"


def test_a_developer_creates_no_unit_and_a_product_manager_discards_nothing(tenant):
    DeadLetterFactory(tenant=tenant)
    developer = browser_of(tenant, role="DEVELOPER")
    assert "Create the unit" not in developer.get(OVERVIEW).content.decode()
    assert developer.get(UNIT, {"tenant": tenant.slug, "metric": "gpu"}).status_code == 403
    manager = browser_of(tenant, role="PRODUCT_MANAGER")
    assert "Create the unit" in manager.get(OVERVIEW).content.decode()
    about = {"tenant": tenant.slug, "act": "DISCARD", "code": "UNKNOWN_METRIC", "reason": "x"}
    assert manager.post(DECIDE, about).status_code == 403


def test_another_tenants_letters_are_as_absent_as_none(browser):
    theirs = DeadLetterFactory()
    assert browser.get(page_of(theirs)).status_code == 302
    assert browser.post(page_of(theirs), {"replay": "1"}).status_code == 302
    about = {"tenant": theirs.tenant.slug, "act": "REPLAY", "code": "UNKNOWN_METRIC"}
    for verb in (browser.get, browser.post):
        assert verb(DECIDE, about).status_code == 404
        assert verb(UNIT, about | {"metric": "gpu"}).status_code == 404
    browser.post(LIST, {"action": "replay", "_selected_action": [theirs.pk]})
    assert state(theirs) == "OPEN"


def test_ids_of_another_tenant_are_left_out(browser, tenant):
    theirs, ours = DeadLetterFactory(), DeadLetterFactory(tenant=tenant)
    about = {"tenant": tenant.slug, "act": "REPLAY", "ids": f"{theirs.pk} {ours.pk}"}
    browser.post(DECIDE, about)
    assert (state(theirs), state(ours)) == ("OPEN", "REPLAYED")


@pytest.mark.parametrize(
    "broken", [{"act": "KEEP"}, {"act": ""}, {"ids": "x y"}, {"tenant": "nobody"}]
)
def test_a_page_about_nothing_is_absent(browser, tenant, broken):
    about = {"tenant": tenant.slug, "act": "REPLAY", "code": "X"} | broken
    assert browser.get(DECIDE, about).status_code == 404


def noted(tenant):
    return UnknownMetric.objects.create(tenant=tenant, name="gpu", first_seen_at=NOW)


def decided(tenant):
    return LetterDecisionFactory(tenant=tenant)


@pytest.mark.parametrize(("model", "row"), [("letterdecision", decided), ("unknownmetric", noted)])
def test_what_was_decided_and_noted_can_be_read(browser, tenant, model, row):
    row(TenantFactory())
    row(tenant)
    listed = browser.get(reverse(f"admin:metering_{model}_changelist"))
    (shown,) = listed.context["cl"].result_list
    assert shown.tenant_id == tenant.pk
    page = reverse(f"admin:metering_{model}_change", args=[shown.pk])
    assert browser.get(page).status_code == 200
    assert browser.post(page, {}).status_code == 403


def test_a_decision_about_all_letters_is_refused(browser, tenant):
    letter = DeadLetterFactory(tenant=tenant)
    answer = browser.post(DECIDE, {"tenant": tenant.slug, "act": "REPLAY"})
    assert "name which letters" in answer.content.decode()
    assert state(letter) == "OPEN"
