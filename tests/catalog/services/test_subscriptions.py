from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from threading import Barrier

import pytest
from django.db import connection

from aforo.errors import Conflict, Refused
from aforo.outbox.models import OutboxMessage
from aforo.tenancy.models import AuditEntry
from aforo.tenancy.services.actors import Actor
from catalog.models import BillingEntity, Subscription, VersionCurrency
from catalog.services.subscriptions import cancel_subscription, create_subscription
from tests.factories import (
    NOW,
    BillingEntityFactory,
    CustomerFactory,
    InvoiceFactory,
    OfferingFactory,
    ProductFactory,
    RatePlanFactory,
    RatePlanVersionFactory,
    SubscriptionFactory,
)

DAY = 86400


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


@pytest.fixture
def plan(tenant):
    plan = RatePlanFactory(tenant=tenant)
    RatePlanVersionFactory(rate_plan=plan, tenant=tenant, published=True)
    return plan


@pytest.fixture
def offering(tenant, plan):
    return OfferingFactory(tenant=tenant, rate_plans=[plan])


@pytest.fixture
def subscribe(tenant, actor, offering):
    def subscribe(**fields):
        fields = {
            "tenant": tenant,
            "actor": actor,
            "now": NOW,
            "offering": offering,
            "start": utc(2026, 3, 1),
            **fields,
        }
        if "customer" not in fields:
            fields["customer"] = CustomerFactory(tenant=tenant)
        return create_subscription(**fields)

    return subscribe


def test_a_subscription_is_pinned_to_the_latest_published_versions(tenant, plan, subscribe):
    second = RatePlanVersionFactory(rate_plan=plan, tenant=tenant, number=2, published=True)
    RatePlanVersionFactory(rate_plan=plan, tenant=tenant, number=3)

    subscription = subscribe()

    assert [row.version for row in subscription.plans.all()] == [second]
    assert (subscription.state, subscription.currency) == ("ACTIVE", "USD")
    assert subscription.start_at == utc(2026, 3, 1)
    assert subscription.end_at is None


def test_every_plan_of_the_offering_is_pinned_in_order(tenant, plan, subscribe):
    other = RatePlanVersionFactory(tenant=tenant, published=True)
    bundle = OfferingFactory(tenant=tenant, rate_plans=[other.rate_plan, plan])
    subscription = subscribe(offering=bundle)
    assert [row.version.rate_plan for row in subscription.plans.all()] == [other.rate_plan, plan]


def test_a_plan_without_a_published_version_is_refused(tenant, subscribe):
    draft = RatePlanVersionFactory(tenant=tenant)
    unready = OfferingFactory(tenant=tenant, rate_plans=[draft.rate_plan])
    with pytest.raises(Refused, match="has no published version yet"):
        subscribe(offering=unready)
    assert Subscription.objects.count() == 0


@pytest.mark.parametrize("status", ["DRAFT", "ARCHIVED"])
def test_only_an_active_offering_is_sold(tenant, plan, subscribe, status):
    with pytest.raises(Refused, match=f"is {status}"):
        subscribe(offering=OfferingFactory(tenant=tenant, rate_plans=[plan], status=status))


@pytest.mark.parametrize("lifecycle", ["EXPERIMENTAL", "DEPRECATED", "RETIRED"])
def test_a_product_that_is_not_on_sale_is_refused(tenant, plan, subscribe, lifecycle):
    plan.products.add(ProductFactory(tenant=tenant, lifecycle=lifecycle))
    with pytest.raises(Refused, match=f"is {lifecycle}"):
        subscribe()


def test_an_archived_customer_is_refused(tenant, subscribe):
    with pytest.raises(Refused, match="is archived"):
        subscribe(customer=CustomerFactory(tenant=tenant, archived_at=NOW))


def test_periods_are_stored_from_the_start_to_two_months_ahead(subscribe):
    subscription = subscribe(start=utc(2026, 1, 31))
    assert subscription.anchor_day == 31
    assert [(row.start_at, row.end_at) for row in subscription.periods.all()] == [
        (utc(2026, 1, 31), utc(2026, 2, 28)),
        (utc(2026, 2, 28), utc(2026, 3, 31)),
        (utc(2026, 3, 31), utc(2026, 4, 30)),
        (utc(2026, 4, 30), utc(2026, 5, 31)),  # NOW + 62 days is 16 May
    ]


def test_a_date_begins_at_midnight_of_the_billing_entity(tenant, subscribe):
    BillingEntityFactory(tenant=tenant, time_zone="America/New_York")
    subscription = subscribe(start=date(2026, 3, 5))
    assert subscription.time_zone == "America/New_York"
    assert subscription.start_at == utc(2026, 3, 5, 5)
    assert subscription.anchor_day == 5
    first, second = subscription.periods.all()[:2]
    assert (first.start_at, first.end_at) == (utc(2026, 3, 5, 5), utc(2026, 4, 5, 4))
    assert second.end_at == utc(2026, 5, 5, 4)


def test_the_anchor_is_the_local_day_of_the_start(tenant, subscribe):
    BillingEntityFactory(tenant=tenant, time_zone="Asia/Tokyo")
    assert subscribe(start=utc(2026, 3, 5, 20)).anchor_day == 6


def test_an_anchor_may_be_chosen(subscribe):
    subscription = subscribe(start=utc(2026, 3, 11), anchor_day=1)
    first = subscription.periods.first()
    assert (first.start_at, first.end_at) == (utc(2026, 3, 11), utc(2026, 4, 1))
    assert first.whole_start_at == utc(2026, 3, 1)


def test_a_datetime_without_zone_is_utc(subscribe):
    naive = datetime(2026, 3, 1, 7)  # noqa: DTZ001 - that is the point
    assert subscribe(start=naive).start_at == utc(2026, 3, 1, 7)


def test_the_start_is_now_unless_said(subscribe):
    subscription = subscribe(start=None)
    assert (subscription.start_at, subscription.anchor_day) == (NOW, 15)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"anchor_day": 0}, "billingAnchorDay"),
        ({"anchor_day": 32}, "billingAnchorDay"),
        ({"end": utc(2026, 3, 1)}, "endDate"),
        ({"start": utc(1999, 12, 31)}, "startAt"),
        ({"start": utc(2200, 1, 1)}, "startDate"),
    ],
)
def test_impossible_dates_are_refused_by_field(subscribe, fields, field):
    with pytest.raises(Refused) as refusal:
        subscribe(**fields)
    assert [error.field for error in refusal.value.errors] == [field]
    assert Subscription.objects.count() == 0


def test_the_default_entity_invoices(tenant, subscribe):
    entity = BillingEntityFactory(tenant=tenant)
    assert subscribe().billing_entity == entity


def test_a_first_entity_is_made_when_there_is_none(tenant, subscribe):
    entity = subscribe().billing_entity
    assert (entity.code, entity.currency, entity.is_default) == ("MAIN", "USD", True)
    assert subscribe().billing_entity == entity
    assert BillingEntity.objects.count() == 1


def test_a_customer_has_an_offering_once_at_a_time(tenant, subscribe):
    customer = CustomerFactory(tenant=tenant)
    subscribe(customer=customer, end=utc(2026, 4, 1))
    for overlap in ({"start": utc(2026, 3, 31)}, {"start": utc(2026, 2, 1)}):
        with pytest.raises(Conflict):
            subscribe(customer=customer, **overlap)
    subscribe(customer=customer, start=utc(2026, 4, 1))
    subscribe(customer=customer, start=utc(2026, 2, 1), end=utc(2026, 3, 1))
    assert Subscription.objects.count() == 3


def test_a_subscription_is_on_record_and_told(tenant, subscribe):
    subscription = subscribe()
    entry = AuditEntry.objects.get(action="SUBSCRIPTION_CREATED")
    assert (entry.target_id, entry.at, entry.actor_name) == (str(subscription.id), NOW, "tests")
    assert entry.changes["start_at"] == {"before": None, "after": "2026-03-01T00:00:00+00:00"}
    messages = OutboxMessage.objects.order_by("id").values_list("fact", "subject")
    assert list(messages) == [
        ("subscription.created", str(subscription.id)),
        ("subscription.activated", str(subscription.id)),
    ]
    tenant.refresh_from_db()
    assert tenant.catalog_version > 1


def cancel(subscription, **fields):
    fields = {"subscription": subscription, "actor": Actor.system(), "now": NOW, **fields}
    return cancel_subscription(**fields)


def test_cancelling_cuts_the_period_of_today(subscribe):
    subscription = subscribe()
    cancelled = cancel(subscription, reason="moved away")

    assert (cancelled.state, cancelled.end_at) == ("CANCELLED", NOW)
    (period,) = subscription.periods.all()
    assert (period.start_at, period.end_at) == (utc(2026, 3, 1), NOW)
    assert period.seconds == Decimal(14 * DAY + DAY // 2)
    assert period.whole_seconds == Decimal(31 * DAY)
    entry = AuditEntry.objects.get(action="SUBSCRIPTION_CANCELLED")
    assert entry.reason == "moved away"
    assert entry.changes == {
        "state": {"before": "ACTIVE", "after": "CANCELLED"},
        "end_at": {"before": None, "after": NOW.isoformat()},
        "cancels_at_end": {"before": False, "after": True},
    }
    assert OutboxMessage.objects.filter(fact="subscription.cancelled").count() == 1


def test_cancelling_twice_changes_nothing_more(subscribe):
    subscription = subscribe()
    cancel(subscription)
    again = cancel(subscription, now=NOW + timedelta(days=1))
    assert again.end_at == NOW
    assert AuditEntry.objects.filter(action="SUBSCRIPTION_CANCELLED").count() == 1


def test_cancelling_later_stores_every_period_until_then(subscribe):
    subscription = subscribe()
    cancelled = cancel(subscription, at=utc(2026, 8, 11))
    assert cancelled.end_at == utc(2026, 8, 11)
    last = subscription.periods.last()
    assert subscription.periods.count() == 6
    assert (last.start_at, last.end_at) == (utc(2026, 8, 1), utc(2026, 8, 11))
    assert last.whole_end_at == utc(2026, 9, 1)


def test_cancelling_in_the_past_is_refused(subscribe):
    subscription = subscribe()
    with pytest.raises(Refused, match="cancelAt"):
        cancel(subscription, at=NOW - timedelta(seconds=1))
    subscription.refresh_from_db()
    assert subscription.state == "ACTIVE"


def test_what_is_cancelled_later_runs_until_then(subscribe):
    subscription = subscribe()
    cancelled = cancel(subscription, at=utc(2026, 8, 11), reason="moves away")
    assert (cancelled.state, cancelled.cancels_at_end) == ("ACTIVE", True)
    assert AuditEntry.objects.get(action="SUBSCRIPTION_CANCELLATION_SCHEDULED").reason
    assert [row.state for row in subscription.phases.all()] == ["CREATED", "ACTIVE"]


def test_cancelling_at_the_end_of_the_period_bills_it_whole(subscribe):
    subscription = subscribe()
    assert cancel(subscription, when="PERIOD_END").end_at == utc(2026, 4, 1)
    (period,) = subscription.periods.all()
    assert (period.end_at, period.whole_end_at) == (utc(2026, 4, 1), None)


def test_a_period_that_begins_within_minutes_is_kept_that_long(subscribe):
    """Events from fast clocks may have been counted in it: it must be there to be billed."""
    subscription = subscribe()
    now = utc(2026, 3, 31, 23, 55)
    cancel(subscription, now=now)
    last, tail = subscription.periods.all()
    assert (last.end_at, last.whole_end_at) == (now, utc(2026, 4, 1))
    assert (tail.start_at, tail.end_at) == (utc(2026, 4, 1), utc(2026, 4, 1, 0, 5))
    assert tail.whole_end_at == utc(2026, 5, 1)


def test_a_billed_period_is_not_cut(tenant, subscribe):
    subscription = subscribe()
    InvoiceFactory(tenant=tenant, subscription=subscription, period=subscription.periods.first())
    with pytest.raises(Conflict, match="billed already") as refusal:
        cancel(subscription)
    assert refusal.value.code == "PERIOD_BILLED"
    assert subscription.periods.first().end_at == utc(2026, 4, 1)


def test_what_has_expired_cannot_be_cancelled(tenant):
    subscription = SubscriptionFactory(tenant=tenant, state="EXPIRED", end_at=utc(2026, 3, 2))
    with pytest.raises(Conflict) as refusal:
        cancel(subscription)
    assert refusal.value.code == "ILLEGAL_TRANSITION"


def test_one_that_begins_later_is_created(subscribe):
    subscription = subscribe(start=utc(2026, 4, 1))
    assert subscription.state == "CREATED"
    assert [row.state for row in subscription.phases.all()] == ["CREATED"]


@pytest.mark.parametrize(
    ("terms", "turns"),
    [
        ({"billing_cycle": "WEEKLY"}, ["2026-03-11", "2026-03-18"]),
        (
            {"billing_cycle": "WEEKLY", "billing_anchor": "CALENDAR"},
            ["2026-03-09", "2026-03-16"],
        ),
        ({"billing_anchor": "CALENDAR"}, ["2026-04-01", "2026-05-01"]),
        ({"billing_cycle": "QUARTERLY"}, ["2026-06-04"]),
        ({"billing_cycle": "QUARTERLY", "billing_anchor": "CALENDAR"}, ["2026-04-01"]),
        ({"billing_cycle": "ANNUAL", "anchor_month": 7, "anchor_day": 1}, ["2026-07-01"]),
        ({"billing_cycle": "DAYS", "cycle_count": 10}, ["2026-03-14", "2026-03-24"]),
        ({"billing_cycle": "MONTHS", "cycle_count": 2}, ["2026-05-04"]),
    ],
)
def test_periods_follow_the_cycle_and_the_anchor(subscribe, terms, turns):
    subscription = subscribe(start=utc(2026, 3, 4), **terms)
    ends = [f"{row.end_at:%Y-%m-%d}" for row in subscription.periods.all()]
    assert ends[: len(turns)] == turns


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"billing_cycle": "WEEKLY", "anchor_day": 8}, "billingAnchorDay"),
        ({"billing_cycle": "ANNUAL", "anchor_month": 13}, "billingAnchorMonth"),
        ({"anchor_month": 1}, "billingAnchorMonth"),
        ({"cycle_count": 2}, "cycleCount"),
        ({"billing_cycle": "DAYS", "cycle_count": 0}, "cycleCount"),
        ({"billing_cycle": "DAYS", "billing_anchor": "CALENDAR"}, "billingAnchor"),
        ({"invoice_threshold": Decimal(0)}, "invoiceThreshold"),
        ({"currency": "EUR"}, "currency"),
        ({"start_trial": True}, "startTrial"),
        ({"trial_ends_at": utc(2026, 3, 1)}, "trialEndsAt"),
    ],
)
def test_terms_that_cannot_be_are_refused_by_field(subscribe, terms, field):
    with pytest.raises(Refused) as refusal:
        subscribe(**terms)
    assert [error.field for error in refusal.value.errors] == [field]
    assert Subscription.objects.count() == 0


def test_any_currency_that_all_plans_are_priced_in_may_be_chosen(tenant, subscribe):
    version = RatePlanVersionFactory(tenant=tenant)
    VersionCurrency.objects.create(tenant=tenant, version=version, currency="EUR")
    version.status, version.published_at = "PUBLISHED", NOW
    version.save()
    offering = OfferingFactory(tenant=tenant, rate_plans=[version.rate_plan])
    assert subscribe(offering=offering, currency="EUR").currency == "EUR"


def test_an_end_that_was_agreed_is_not_put_off(subscribe):
    subscription = subscribe(end=utc(2026, 4, 11))
    assert cancel(subscription, at=utc(2026, 9, 1)).end_at == utc(2026, 4, 11)
    assert subscription.periods.last().end_at == utc(2026, 4, 11)


def test_cancelled_before_it_began_leaves_no_period(subscribe):
    subscription = subscribe(start=utc(2026, 4, 1))
    assert subscription.periods.count() == 2
    cancelled = cancel(subscription)
    assert cancelled.periods.count() == 0
    assert cancelled.end_at - cancelled.start_at == timedelta(microseconds=1)


@pytest.mark.django_db(transaction=True)
def test_eight_threads_subscribe_a_customer_once():
    row = SubscriptionFactory.build()
    plan = RatePlanVersionFactory(published=True).rate_plan
    offering = OfferingFactory(tenant=plan.tenant, rate_plans=[plan])
    customer = CustomerFactory(tenant=plan.tenant)
    barrier = Barrier(8)

    def subscribe(_):
        try:
            barrier.wait(10)
            create_subscription(
                tenant=plan.tenant,
                actor=Actor.system(),
                now=NOW,
                customer=customer,
                offering=offering,
                start=row.start_at,
            )
        except Conflict:
            return "conflict"
        else:
            return "created"
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        outcomes = sorted(pool.map(subscribe, range(8)))

    assert outcomes == ["conflict"] * 7 + ["created"]
    assert Subscription.objects.count() == 1
    assert BillingEntity.objects.count() == 1
