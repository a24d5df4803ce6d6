from datetime import UTC, datetime, timedelta

import pytest

from catalog.models import Contract, SubscriptionPeriod
from catalog.services.contract_phases import pin_phases, pin_unbegun
from tests.factories import (
    NOW,
    ContractFactory,
    SubscriptionFactory,
    SubscriptionPeriodFactory,
)

pytestmark = pytest.mark.django_db
WHOLE = ({},)  # one phase over the whole term


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def unsaved(subscription, start):
    return SubscriptionPeriod(
        tenant=subscription.tenant,
        subscription=subscription,
        start_at=start,
        end_at=start + timedelta(days=30),
        whole_start_at=start,
    )


def pinned(subscription, start=NOW):
    """The phase that a new period is pinned to."""
    row = unsaved(subscription, start)
    pin_phases([row])
    return row.contract_phase


def contract_of(subscription, /, **fields):
    fields = {"customer": subscription.customer, "phases": WHOLE, "agreed": True} | fields
    return ContractFactory(tenant=subscription.tenant, **fields)


def test_nothing_is_pinned_without_a_contract():
    pin_phases([])
    assert pinned(SubscriptionFactory()) is None


def test_a_period_is_pinned_to_the_phase_that_holds_its_start():
    subscription = SubscriptionFactory()
    middle = utc(2026, 7, 1)
    contract = contract_of(subscription, phases=[{"end_at": middle}, {"start_at": middle}])
    first, second = contract.phases.order_by("start_at")
    assert pinned(subscription, contract.start_at) == first
    assert pinned(subscription, middle - timedelta(microseconds=1)) == first
    assert pinned(subscription, middle) == second
    assert pinned(subscription, contract.end_at) is None
    assert pinned(subscription, contract.start_at - timedelta(microseconds=1)) is None


def test_a_subscriptions_own_contract_goes_before_the_customers():
    subscription = SubscriptionFactory()
    general = contract_of(subscription)
    own = contract_of(subscription, subscription=subscription)
    other = SubscriptionFactory(tenant=subscription.tenant, customer=subscription.customer)
    assert pinned(subscription).contract == own
    assert pinned(other).contract == general


@pytest.mark.parametrize(
    ("status", "holds"),
    [("DRAFT", False), ("ACTIVE", True), ("ENDED", True), ("TERMINATED", False)],
)
def test_a_contract_pins_while_it_is_in_force_and_for_its_term_after_it(status, holds):
    subscription = SubscriptionFactory()
    contract = contract_of(subscription, agreed=False)
    Contract.objects.for_tenant(contract.tenant).update(status=status)
    assert (pinned(subscription) is not None) == holds


def test_another_currency_or_customer_is_left_alone():
    subscription = SubscriptionFactory()
    contract_of(subscription, currency="EUR")
    contract_of(SubscriptionFactory(tenant=subscription.tenant))
    assert pinned(subscription) is None


def test_the_number_of_statements_is_a_constant(django_assert_num_queries):
    subscriptions = [SubscriptionFactory()]
    subscriptions += [SubscriptionFactory(tenant=subscriptions[0].tenant) for _ in range(5)]
    for subscription in subscriptions:
        contract_of(subscription)
    for count in (1, 6):
        rows = [unsaved(subscription, NOW) for subscription in subscriptions[:count]]
        with django_assert_num_queries(2):
            pin_phases(rows)
        assert all(row.contract_phase_id for row in rows)


def test_only_periods_that_nobody_can_have_used_are_pinned_anew():
    subscription = SubscriptionFactory()
    spans = [
        (NOW - timedelta(days=1), NOW + timedelta(minutes=10)),
        (NOW + timedelta(minutes=10), NOW + timedelta(minutes=11)),
        (NOW + timedelta(minutes=11), NOW + timedelta(days=30)),
    ]
    rows = [
        SubscriptionPeriodFactory(subscription=subscription, start_at=start, end_at=end)
        for start, end in spans
    ]
    contract = contract_of(subscription)
    version = subscription.tenant.catalog_version
    assert pin_unbegun(contract=contract, now=NOW) == 1
    for row in rows:
        row.refresh_from_db()
    assert [row.contract_phase_id is not None for row in rows] == [False, False, True]
    subscription.tenant.refresh_from_db()
    assert subscription.tenant.catalog_version == version + 1
    assert pin_unbegun(contract=contract, now=NOW) == 0
