"""Simulations that were asked for: run once, reported, and nothing of them left."""

import json
from uuid import uuid4

import pytest

from aforo.errors import NotFound, Refused
from aforo.tenancy.models import Tenant
from billing.models import Simulation
from billing.simulations import library, runner, scenario
from billing.simulations.requests import run_simulation
from tests.clients import operator_client
from tests.factories import NOW, SandboxFactory, TenantFactory

PATH = "/api/v1/sandbox/simulations"


@pytest.fixture
def tenant(db):
    return SandboxFactory()


def small(**changes):
    return {**library.mapping("late-arrival"), **changes}


def asked(client, body, status=202):
    answer = client.post(PATH, body, format="json")
    assert answer.status_code == status, answer.content
    return answer.json()


def test_a_simulation_is_run_and_reported(tenant):
    client = operator_client(tenant)
    queued = asked(client, {"scenario": small()})
    assert (queued["status"], queued["progress"]) == ("QUEUED", 0)
    tenants = Tenant.objects.count()
    assert run_simulation(simulation_id=queued["id"], now=NOW) == "PASSED"
    told = client.get(f"{PATH}/{queued['id']}").json()
    assert (told["status"], told["progress"]) == ("PASSED", 100)
    assert [one["verdict"] for one in told["report"]["expectations"]] == ["PASS", "PASS"]
    assert told["report"]["invoices"][0]["total"] == "1.50"
    assert Tenant.objects.count() == tenants


def test_a_failed_expectation_shows_what_came_out(tenant):
    steps = small()["steps"]
    steps[-1]["expect"]["invoices"][0]["total"] = "1.51"
    queued = asked(operator_client(tenant), {"scenario": small(steps=steps)})
    assert run_simulation(simulation_id=queued["id"], now=NOW) == "FAILED"
    failed = Simulation.objects.get().report["expectations"][-1]
    assert (failed["verdict"], failed["expected"], failed["actual"]) == (
        "FAIL",
        [{"total": "1.51"}],
        [{"total": "1.50"}],
    )


def test_a_step_that_is_refused_breaks_the_simulation_off(tenant):
    body = small(subscriptions=[{"as": "x", "offeringId": str(uuid4()), "customerId": "acme"}])
    queued = asked(operator_client(tenant), {"scenario": body})
    assert run_simulation(simulation_id=queued["id"], now=NOW) == "BROKEN"
    assert "subscriptions 'x' was answered 404" in Simulation.objects.get().error


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "scenario"),
        ({"scenario": {"name": "nothing"}}, "clock"),
        ({"scenario": small(steps=[{"clock": "2026-01-02T00:00:00Z", "bill": {}}])}, "steps[0]"),
        ({"scenario": small(steps=[{"usage": {"events": "many"}}])}, "steps[0].usage.events"),
        ({"scenario": small(steps=[{"usage": {"customer": "a", "metric": "b", "events": 10**9}}])},
         "steps"),
        ({"scenario": small(steps=[{"bill": 3}])}, "steps[0].bill"),
        ({"scenario": small(clock="yesterday")}, "clock"),
        ({"scenario": small(clock="2026-03-01T00:00:00")}, "clock"),
        ({"scenario": small(seed=2**63)}, "seed"),
        ({"scenario": small(colour="red")}, "colour"),
        ({"name": "late-arrival", "seed": 2**63}, "seed"),
        ({"name": "late-arrival", "seed": -(2**63) - 1}, "seed"),
        ({"name": "late-arrival", "scenario": {}}, "scenario"),
    ],
)  # fmt: skip
def test_what_is_no_scenario_is_refused_by_field(tenant, body, field):
    refused = asked(operator_client(tenant), body, status=422)
    assert [error["field"] for error in refused["errors"]] == [field]
    assert not Simulation.objects.exists()


def test_a_simulation_is_run_once(tenant):
    queued = asked(operator_client(tenant), {"name": "late-arrival"})
    assert run_simulation(simulation_id=queued["id"], now=NOW) == "PASSED"
    Simulation.objects.update(report=None)
    assert run_simulation(simulation_id=queued["id"], now=NOW) == "PASSED"
    assert Simulation.objects.get().report is None


def test_the_same_seed_gives_the_same_bytes(db):
    spread = {"least": "0.001", "most": "9.999", "places": 3}
    steps = small()["steps"]
    steps.insert(1, {"usage": {"customer": "acme", "metric": "calls", "events": 40,
                               "quantity": spread, "metadata": {"model": ["a", "b"]}}})  # fmt: skip
    steps[-1]["expect"]["invoices"][0].pop("total")

    def report(seed):
        made = runner.run(scenario.of_mapping(small(steps=steps, seed=seed)))
        return json.dumps(made.as_dict())

    assert report(7) == report(7)
    assert report(7).replace('"seed": 7', "") != report(8).replace('"seed": 8', "")


def test_names_that_nobody_knows_are_not_found(tenant):
    assert asked(operator_client(tenant), {"name": "no-such"}, status=404)
    with pytest.raises(NotFound, match="late-arrival"):
        library.mapping("no-such")


def test_members_may_look_and_not_simulate(tenant):
    member = operator_client(tenant, role="MEMBER")
    assert member.post(PATH, {"name": "late-arrival"}, format="json").status_code == 403
    assert member.get("/api/v1/sandbox/scenarios").json()["names"] == list(library.names())


def test_another_tenants_simulation_is_not_there(tenant):
    queued = asked(operator_client(tenant), {"name": "late-arrival"})
    other = operator_client(TenantFactory())
    assert other.get(f"{PATH}/{queued['id']}").status_code == 404
    assert other.get(PATH).json()["totalElements"] == 0


def test_a_route_that_is_none_is_said():
    with pytest.raises(Refused, match="steps"):
        scenario.of_mapping(small(steps=[{}]))
