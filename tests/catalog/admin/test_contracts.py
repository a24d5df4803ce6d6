"""Contracts in the admin: a ramp as a table, prices as fields, and no way around the services."""

import pytest
from django.urls import reverse

from aforo.tenancy.models.members import Role
from catalog.models import Contract, ContractPhase
from tests.catalog.admin.test_admin import actions, browser_of, formset, press, url
from tests.factories import (
    NOW,
    PER_UNIT,
    BillableUnitFactory,
    ContractFactory,
    CustomerFactory,
    SandboxFactory,
)

pytestmark = pytest.mark.django_db
STEP = {"minimum_spend": "", "maximum_spend": "", "discount_percent": "0", "discount_amount": "0"}


@pytest.fixture
def tenant():
    return SandboxFactory(clock_frozen_at=NOW)


@pytest.fixture
def browser(tenant):
    return browser_of(tenant)


def term(customer, **fields):
    """The fields of a contract's page: Acme, of 2026."""
    return {
        "tenant": customer.tenant_id,
        "customer": customer.pk,
        "name": "Acme",
        "currency": "USD",
        "start_at_0": "2026-01-01",
        "start_at_1": "00:00:00",
        "end_at_0": "2027-01-01",
        "end_at_1": "00:00:00",
        "minimum_spend": "1200",
        "maximum_spend": "",
        "renewal_months": "12",
    } | fields


def row(**fields):
    return {"month_offset": "", "start_at_0": "", "start_at_1": ""} | STEP | fields


def shown(answer):
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_ramp_is_written_as_a_table(browser, tenant):
    customer = CustomerFactory(tenant=tenant)
    rows = [row(minimum_spend="100"), row(month_offset="6", minimum_spend="200")]
    answer = browser.post(
        url(Contract, "add"), term(customer, auto_renew="on") | formset("phases", *rows)
    )
    assert answer.status_code == 302, answer.content.decode()
    contract = Contract.objects.for_tenant(tenant).get()
    assert (contract.status, contract.auto_renew, contract.minimum_spend) == ("DRAFT", True, 1200)
    phases = contract.phases.order_by("start_at")
    assert [(phase.start_at.month, phase.minimum_spend) for phase in phases] == [
        (1, 100),
        (7, 200),
    ]
    assert actions() == ["CONTRACT_CREATED"]


def test_what_is_refused_is_said_on_the_page(browser, tenant):
    customer = CustomerFactory(tenant=tenant)
    rows = formset("phases", row(month_offset="3"))
    page = shown(browser.post(url(Contract, "add"), term(customer) | rows))
    assert "the first phase begins with the term" in page
    assert not Contract.objects.for_tenant(tenant).exists()


def test_a_changed_ramp_keeps_the_prices_of_its_steps(browser, tenant):
    unit = BillableUnitFactory(tenant=tenant)
    contract = ContractFactory(tenant=tenant, phases=[{"prices": {unit: PER_UNIT}}])
    phase = contract.phases.get()
    first = row(start_at_0="2026-01-01", start_at_1="00:00:00", id=phase.pk, contract=contract.pk)
    rows = formset("phases", first, row(month_offset="6", discount_percent="5"), initial=1)
    page = term(contract.customer, name="Acme, in steps") | rows
    answer = browser.post(url(Contract, "change", contract.pk), page)
    assert answer.status_code == 302, answer.content.decode()
    first, second = contract.phases.order_by("start_at")
    assert first.prices.get().unit == unit
    assert (second.discount_percent, second.prices.count()) == (5, 0)
    contract.refresh_from_db()
    assert contract.name == "Acme, in steps"


def test_the_prices_of_a_step_are_fields_and_rows(browser, tenant):
    calls, seats = BillableUnitFactory(tenant=tenant), BillableUnitFactory(tenant=tenant)
    phase = ContractFactory(tenant=tenant, phases=({},)).phases.get()
    graduated = {
        "unit": calls.pk,
        "terms-model": "GRADUATED",
        "terms-end": ["1000", ""],
        "terms-price": ["0.01", "0.005"],
        "terms-fee": ["", ""],
        "included_free": "",
    }
    allowance = {"unit": seats.pk, "terms-model": "", "included_free": "25"}
    page = url(ContractPhase, "change", phase.pk)
    answer = browser.post(page, formset("prices", graduated, allowance))
    assert answer.status_code == 302, answer.content.decode()
    prices = {price.unit: price for price in phase.prices.all()}
    assert prices[calls].terms["tiers"][1]["unitPrice"] == "0.005"
    assert (prices[seats].terms, prices[seats].included_free) == (None, 25)
    assert 'value="0.005"' in shown(browser.get(page))


def test_a_wrong_price_is_named_beside_its_field(browser, tenant):
    unit = BillableUnitFactory(tenant=tenant)
    phase = ContractFactory(tenant=tenant, phases=({},)).phases.get()
    page = url(ContractPhase, "change", phase.pk)
    for fields, said in (
        ({"terms-model": "PER_UNIT", "terms-rate": "much"}, "must be a number"),
        ({"terms-model": ""}, "either a model with its terms, or this alone"),
        ({"terms-model": "", "included_free": "-1"}, "must not be negative"),
    ):
        row = {"unit": unit.pk, "included_free": ""} | fields
        assert said in shown(browser.post(page, formset("prices", row)))
    assert phase.prices.count() == 0


def test_an_agreed_contract_can_be_read_and_not_written(browser, tenant):
    unit = BillableUnitFactory(tenant=tenant)
    contract = ContractFactory(tenant=tenant, phases=[{"prices": {unit: PER_UNIT}}], agreed=True)
    page = shown(browser.get(url(Contract, "change", contract.pk)))
    assert 'name="auto_renew"' in page
    assert 'name="minimum_spend"' not in page
    phase = contract.phases.get()
    assert "terms-model" not in shown(browser.get(url(ContractPhase, "change", phase.pk)))
    assert browser.post(url(ContractPhase, "change", phase.pk), {}).status_code == 403


def test_contracts_are_agreed_and_given_up_by_a_press(browser, tenant):
    contract = ContractFactory(tenant=tenant, phases=({},))
    assert "1 contracts activated" in press(browser, Contract, "activate", contract)
    contract.refresh_from_db()
    assert contract.status == Contract.Status.ACTIVE
    page = reverse("admin:catalog_contract_terminate_this", args=(contract.pk,))
    assert "Terminate this contract?" in shown(browser.get(page))
    browser.post(page, {"_form_submitted": "True", "reason": "moved away"})
    contract.refresh_from_db()
    assert contract.status == Contract.Status.TERMINATED


def test_a_contract_is_agreed_on_its_own_page_after_a_question(browser, tenant):
    contract = ContractFactory(tenant=tenant, phases=({},))
    page = reverse("admin:catalog_contract_activate_this", args=(contract.pk,))
    assert "Activate this contract?" in shown(browser.get(page))
    assert page in shown(browser.get(url(Contract, "change", contract.pk)))
    browser.post(page, {"_form_submitted": "True"})
    contract.refresh_from_db()
    assert contract.status == Contract.Status.ACTIVE
    assert page not in shown(browser.get(url(Contract, "change", contract.pk)))


def test_those_who_price_the_catalog_agree_no_contracts(tenant):
    contract = ContractFactory(tenant=tenant, phases=({},))
    browser = browser_of(tenant, Role.PRODUCT_MANAGER)
    assert browser.get(url(Contract, "add")).status_code == 403
    press(browser, Contract, "activate", contract)
    contract.refresh_from_db()
    assert contract.status == Contract.Status.DRAFT


def test_another_tenants_contract_is_absent(browser):
    contract = ContractFactory(phases=({},))
    assert contract.name not in shown(browser.get(url(Contract)))
    assert browser.get(url(Contract, "change", contract.pk)).status_code == 302
