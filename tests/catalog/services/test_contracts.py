from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from aforo.errors import Conflict, NotFound, Refused
from aforo.outbox.models import OutboxMessage
from aforo.tenancy.models import AuditEntry
from aforo.tenancy.services.actors import Actor
from catalog.models import BillableUnit, Contract
from catalog.services import contracts
from catalog.services.contract_prices import AgreedPriceDraft
from catalog.services.contract_terms import PhaseDraft
from tests.factories import (
    NOW,
    PER_UNIT,
    BillableUnitFactory,
    ContractFactory,
    CustomerFactory,
    RatePlanVersionFactory,
    SubscriptionFactory,
    SubscriptionPeriodFactory,
    TenantFactory,
)
from tests.threads import in_threads

pytestmark = pytest.mark.django_db


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


@pytest.fixture
def customer(tenant):
    return CustomerFactory(tenant=tenant)


@pytest.fixture
def draft(tenant, actor, customer):
    """Makes a draft of 2026."""

    def make(**fields):
        given = {
            "tenant": tenant,
            "actor": actor,
            "now": NOW,
            "customer": customer,
            "name": "Acme 2026",
            "currency": "USD",
            "start_at": utc(2026, 1, 1),
            "end_at": utc(2027, 1, 1),
        }
        return contracts.create_contract(**(given | fields))

    return make


def spans(contract):
    return [(phase.start_at, phase.end_at) for phase in contract.phases.order_by("start_at")]


def refusal(error):
    return error.value.errors[0].field, error.value.errors[0].code


def facts():
    messages = OutboxMessage.objects.order_by("id")  # any tenant
    return [message.fact for message in messages]


def test_a_contract_without_phases_has_one_over_its_term(draft):
    contract = draft()
    assert contract.status == Contract.Status.DRAFT
    assert spans(contract) == [(utc(2026, 1, 1), utc(2027, 1, 1))]
    entry = AuditEntry.objects.for_tenant(contract.tenant).get()
    assert entry.action == "CONTRACT_CREATED"
    assert "phase from 2026-01-01 00:00" in entry.changes


def test_a_ramp_is_told_by_months_or_moments(draft):
    ramp = [
        PhaseDraft(minimum_spend=Decimal(100)),
        PhaseDraft(month_offset=3, minimum_spend=Decimal(200)),
        PhaseDraft(start_at=utc(2026, 7, 15), minimum_spend=Decimal(300)),
    ]
    contract = draft(phases=ramp)
    assert spans(contract) == [
        (utc(2026, 1, 1), utc(2026, 4, 1)),
        (utc(2026, 4, 1), utc(2026, 7, 15)),
        (utc(2026, 7, 15), utc(2027, 1, 1)),
    ]
    assert [phase.minimum_spend for phase in contract.phases.order_by("start_at")] == [
        100,
        200,
        300,
    ]


def test_months_of_a_ramp_turn_where_the_subscription_is_billed(draft, tenant, customer):
    subscription = SubscriptionFactory(
        tenant=tenant, customer=customer, time_zone="America/New_York"
    )
    contract = draft(
        subscription=subscription,
        start_at=utc(2026, 10, 1, 4),
        phases=[PhaseDraft(), PhaseDraft(month_offset=2)],
    )
    assert spans(contract)[1][0] == utc(2026, 12, 1, 5)


@pytest.mark.parametrize(
    ("phases", "named"),
    [
        ([PhaseDraft(month_offset=1, path="phases[0]")], ("phases[0]", "INVALID")),
        ([PhaseDraft(), PhaseDraft(path="phases[1]")], ("phases[1]", "INVALID")),
        ([PhaseDraft(), PhaseDraft(month_offset=12, path="phases[1]")], ("phases[1]", "INVALID")),
        (
            [PhaseDraft(start_at=utc(2026, 1, 1), month_offset=0)],
            ("phases.monthOffset", "AMBIGUOUS"),
        ),
        ([PhaseDraft(minimum_spend=Decimal(-1))], ("phases.minimumSpend", "INVALID")),
        (
            [PhaseDraft(minimum_spend=Decimal(2), maximum_spend=Decimal(1))],
            ("phases.maximumSpend", "INVALID"),
        ),
        ([PhaseDraft(discount_percent=Decimal(101))], ("phases.discountPercent", "INVALID")),
        ([PhaseDraft(discount_amount=Decimal(-1))], ("phases.discountAmount", "INVALID")),
    ],
)
def test_phases_that_contradict_are_refused_by_name(draft, phases, named):
    with pytest.raises(Refused) as error:
        draft(phases=phases)
    assert refusal(error) == named


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"end_at": utc(2026, 1, 1)}, ("endAt", "INVALID")),
        ({"currency": "XXQ"}, ("currency", "INVALID")),
        ({"minimum_spend": Decimal(-1)}, ("minimumSpend", "INVALID")),
        (
            {"minimum_spend": Decimal(2), "maximum_spend": Decimal(1)},
            ("maximumSpend", "INVALID"),
        ),
        ({"renewal_months": 0}, ("renewalMonths", "INVALID")),
    ],
)
def test_a_contract_that_contradicts_itself_is_refused_by_name(draft, fields, named):
    with pytest.raises(Refused) as error:
        draft(**fields)
    assert refusal(error) == named


def test_a_subscription_is_the_customers_own_and_in_the_contracts_currency(draft, tenant, customer):
    others = SubscriptionFactory(tenant=tenant)
    with pytest.raises(Refused) as error:
        draft(subscription=others)
    assert refusal(error) == ("subscriptionId", "MISMATCH")
    own = SubscriptionFactory(tenant=tenant, customer=customer, currency="EUR")
    with pytest.raises(Refused) as error:
        draft(subscription=own)
    assert refusal(error) == ("currency", "MISMATCH")


def test_another_tenants_customer_is_absent(draft):
    with pytest.raises(NotFound):
        draft(customer=CustomerFactory())


def test_a_price_is_terms_or_an_allowance_and_each_unit_has_one(draft, tenant):
    unit = BillableUnitFactory(tenant=tenant)
    both = AgreedPriceDraft(unit, PER_UNIT, Decimal(5))
    for prices, code in (
        ([AgreedPriceDraft(unit)], "AMBIGUOUS"),
        ([both], "AMBIGUOUS"),
        ([AgreedPriceDraft(unit, PER_UNIT)] * 2, "DUPLICATE"),
        ([AgreedPriceDraft(unit, included_free=Decimal(-1))], "INVALID"),
        ([AgreedPriceDraft(unit, {"model": "PER_UNIT", "rate": "-1"})], "INVALID_TERMS"),
    ):
        with pytest.raises(Refused) as error:
            draft(phases=[PhaseDraft(prices=prices)])
        assert refusal(error)[1] == code


def test_a_draft_is_edited_and_its_phases_follow_its_term(draft, actor):
    contract = draft(phases=[PhaseDraft(), PhaseDraft(month_offset=6)])
    edits = {"start_at": utc(2026, 2, 1), "end_at": utc(2028, 1, 1), "name": "Acme, longer"}
    edited = contracts.edit_contract(contract=contract, edits=edits, actor=actor, now=NOW)
    assert edited.name == "Acme, longer"
    assert spans(contract) == [
        (utc(2026, 2, 1), utc(2026, 7, 1)),
        (utc(2026, 7, 1), utc(2028, 1, 1)),
    ]
    with pytest.raises(Refused) as error:
        contracts.edit_contract(
            contract=contract, edits={"end_at": utc(2026, 5, 1)}, actor=actor, now=NOW
        )
    assert refusal(error) == ("phases", "OUTSIDE")
    contracts.edit_contract(
        contract=contract, edits={}, phases=[PhaseDraft()], actor=actor, now=NOW
    )
    assert len(spans(contract)) == 1


def test_what_is_agreed_changes_no_more_but_for_its_name_and_its_renewal(draft, actor):
    contract = contracts.activate_contract(contract=draft(), actor=actor, now=NOW)
    edits = {"name": "Acme", "auto_renew": True, "renewal_months": 6}
    contracts.edit_contract(contract=contract, edits=edits, actor=actor, now=NOW)
    contract.refresh_from_db()
    assert (contract.name, contract.auto_renew, contract.renewal_months) == ("Acme", True, 6)
    for change in ({"edits": {"end_at": utc(2028, 1, 1)}}, {"edits": {}, "phases": [PhaseDraft()]}):
        with pytest.raises(Conflict):
            contracts.edit_contract(contract=contract, actor=actor, now=NOW, **change)
    assert spans(contract) == [(utc(2026, 1, 1), utc(2027, 1, 1))]


def test_activation_pins_the_periods_to_come_and_is_told_once(draft, tenant, customer, actor):
    subscription = SubscriptionFactory(tenant=tenant, customer=customer)
    begun = SubscriptionPeriodFactory(subscription=subscription)
    coming = SubscriptionPeriodFactory(
        subscription=subscription, start_at=utc(2026, 4, 1), end_at=utc(2026, 5, 1)
    )
    contract = draft()
    before = tenant.catalog_version
    for _ in range(2):
        agreed = contracts.activate_contract(contract=contract, actor=actor, now=NOW)
    begun.refresh_from_db()
    coming.refresh_from_db()
    tenant.refresh_from_db()
    assert (agreed.status, agreed.activated_at) == (Contract.Status.ACTIVE, NOW)
    assert begun.contract_phase is None
    assert coming.contract_phase.contract == contract
    assert tenant.catalog_version > before
    assert facts() == ["contract.activated"]


def test_measures_of_the_unit_are_agreed_with_the_price(draft, tenant, actor):
    unit = BillableUnitFactory(tenant=tenant, divide_by=1000, rounding="CEIL", rounding_places=2)
    contract = draft(phases=[PhaseDraft(prices=[AgreedPriceDraft(unit, PER_UNIT)])])
    contracts.activate_contract(contract=contract, actor=actor, now=NOW)
    BillableUnit.objects.for_tenant(tenant).update(divide_by=1)
    terms = contract.phases.get().prices.get().terms
    assert terms["divideBy"] == "1000"
    assert (terms["rounding"], terms["roundingPlaces"]) == ("CEIL", 2)


def test_measures_are_those_of_the_day_it_is_agreed(draft, tenant, actor):
    unit = BillableUnitFactory(tenant=tenant)
    old = PER_UNIT | {"divideBy": "10"}
    contract = draft(phases=[PhaseDraft(prices=[AgreedPriceDraft(unit, old)])])
    contracts.activate_contract(contract=contract, actor=actor, now=NOW)
    assert "divideBy" not in contract.phases.get().prices.get().terms


def test_single_events_of_what_does_not_add_up_are_not_priced(draft, tenant, actor):
    unit = BillableUnitFactory(tenant=tenant, aggregation="MAX")
    terms = {"model": "DYNAMIC", "amountField": "amount"}
    contract = draft(phases=[PhaseDraft(prices=[AgreedPriceDraft(unit, terms)])])
    with pytest.raises(Refused, match="MAX"):
        contracts.activate_contract(contract=contract, actor=actor, now=NOW)


def test_an_archived_unit_is_not_agreed(draft, tenant, actor):
    unit = BillableUnitFactory(tenant=tenant, archived_at=NOW)
    contract = draft(phases=[PhaseDraft(prices=[AgreedPriceDraft(unit, PER_UNIT)])])
    with pytest.raises(Refused) as error:
        contracts.activate_contract(contract=contract, actor=actor, now=NOW)
    assert refusal(error) == ("prices", "ARCHIVED")
    contract.refresh_from_db()
    assert contract.status == Contract.Status.DRAFT


@pytest.mark.parametrize(
    ("terms", "is_agreed"), [(PER_UNIT, True), ({"model": "FLAT_RATE", "flatRate": "5"}, False)]
)
def test_an_allowance_alone_replaces_one_that_the_plan_can_have(
    draft, tenant, actor, terms, is_agreed
):
    unit = BillableUnitFactory(tenant=tenant)
    version = RatePlanVersionFactory(tenant=tenant, prices={unit: terms}, published=True)
    price = AgreedPriceDraft(unit, included_free=Decimal(500))
    contract = draft(phases=[PhaseDraft(prices=[price])])
    SubscriptionFactory(tenant=tenant, customer=contract.customer, versions=[version])
    if is_agreed:
        contracts.activate_contract(contract=contract, actor=actor, now=NOW)
    else:
        with pytest.raises(Refused, match="FLAT_RATE, which has no allowance"):
            contracts.activate_contract(contract=contract, actor=actor, now=NOW)


def test_one_contract_at_a_time_for_the_same_subscriptions(draft, tenant, customer, actor):
    contracts.activate_contract(contract=draft(), actor=actor, now=NOW)
    with pytest.raises(Conflict, match="Acme 2026"):
        contracts.activate_contract(
            contract=draft(start_at=utc(2026, 12, 31), end_at=utc(2028, 1, 1)),
            actor=actor,
            now=NOW,
        )
    subscription = SubscriptionFactory(tenant=tenant, customer=customer)
    for fields in (
        {"start_at": utc(2027, 1, 1), "end_at": utc(2028, 1, 1)},
        {"currency": "EUR"},
        {"subscription": subscription},
        {"customer": CustomerFactory(tenant=tenant)},
    ):
        contracts.activate_contract(contract=draft(**fields), actor=actor, now=NOW)


def test_a_term_that_is_over_is_not_agreed(draft, actor):
    contract = draft(start_at=utc(2025, 1, 1), end_at=NOW)
    with pytest.raises(Refused) as error:
        contracts.activate_contract(contract=contract, actor=actor, now=NOW)
    assert refusal(error) == ("endAt", "IN_THE_PAST")


def test_a_draft_whose_phases_leave_a_gap_is_not_agreed(tenant, actor):
    contract = ContractFactory(tenant=tenant, phases=[{"end_at": utc(2026, 6, 1)}])
    with pytest.raises(Refused) as error:
        contracts.activate_contract(contract=contract, actor=actor, now=NOW)
    assert refusal(error) == ("phases", "INVALID")


def test_a_terminated_contract_frees_the_periods_to_come(draft, tenant, customer, actor):
    subscription = SubscriptionFactory(tenant=tenant, customer=customer)
    coming = SubscriptionPeriodFactory(
        subscription=subscription, start_at=utc(2026, 4, 1), end_at=utc(2026, 5, 1)
    )
    contract = contracts.activate_contract(contract=draft(), actor=actor, now=NOW)
    later = coming.start_at + timedelta(days=1)
    for _ in range(2):
        contracts.terminate_contract(contract=contract, actor=actor, now=later, reason="moved")
    coming.refresh_from_db()
    assert coming.contract_phase is not None
    assert facts() == ["contract.activated", "contract.ended"]
    entry = AuditEntry.objects.for_tenant(tenant).first()
    assert (entry.action, entry.reason) == ("CONTRACT_TERMINATED", "moved")
    with pytest.raises(Conflict):
        contracts.activate_contract(contract=contract, actor=actor, now=NOW)


def test_a_terminated_contract_is_taken_off_periods_that_have_not_begun(
    draft, tenant, customer, actor
):
    subscription = SubscriptionFactory(tenant=tenant, customer=customer)
    coming = SubscriptionPeriodFactory(
        subscription=subscription, start_at=utc(2026, 4, 1), end_at=utc(2026, 5, 1)
    )
    contract = contracts.activate_contract(contract=draft(), actor=actor, now=NOW)
    contracts.terminate_contract(contract=contract, actor=actor, now=NOW)
    coming.refresh_from_db()
    assert coming.contract_phase is None


def test_a_draft_is_given_up_in_silence(draft, actor):
    contract = contracts.terminate_contract(contract=draft(), actor=actor, now=NOW)
    assert contract.status == Contract.Status.TERMINATED
    assert facts() == []


@pytest.mark.django_db(transaction=True)
def test_of_eight_who_agree_overlapping_contracts_one_succeeds():
    customer = CustomerFactory(tenant=TenantFactory())
    rows = [
        ContractFactory(tenant=customer.tenant, customer=customer, phases=({},)) for _ in range(8)
    ]

    def activate(index):
        try:
            contracts.activate_contract(contract=rows[index], actor=Actor.system(), now=NOW)
        except Conflict:
            return False
        return True

    assert sum(in_threads(8, activate)) == 1
