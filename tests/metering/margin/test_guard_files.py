"""Guards kept in a file: made and changed as it says, all or none."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from catalog.models import RatePlan
from metering.models import MarginGuard

DOCUMENTED = """
guards:
  - id: tokens-floor
    metric: tokens
    min_margin: 25%
    actions:
      level_1: {threshold: 30%, notify: [slack]}
      level_2: {threshold: 20%, throttle_rate: 5req/sec}
      level_3: {threshold: 10%, action: block_request}
"""


@pytest.fixture
def apply(seller, tmp_path):
    def apply(text, **options):
        path = tmp_path / "guards.yaml"
        path.write_text(text)
        said = StringIO()
        call_command("apply_guards", str(path), tenant=seller.tenant.slug, stdout=said, **options)
        return said.getvalue().splitlines()

    return apply


def test_the_documented_file_makes_its_guard(apply):
    said = apply(DOCUMENTED)
    assert said[0] == "tokens-floor: created"
    assert [line.split(":")[0].strip() for line in said[1:]] == ["throttle_rate", "min_margin"]
    guard = MarginGuard.objects.get()
    assert (guard.warn_channels, guard.throttle_channels) == (["SLACK"], [])
    assert guard.requests_per_second == 5
    assert (guard.warn_below, guard.throttle_below, guard.block_below) == (30, 20, 10)
    assert (guard.unit.name, guard.throttle_rate, guard.mode) == ("tokens", 100, "ENFORCE")
    assert apply(DOCUMENTED)[0] == "tokens-floor: unchanged"
    assert apply(DOCUMENTED.replace("10%", "12.5"))[0] == "tokens-floor: changed"
    assert str(MarginGuard.objects.get().block_below) == "12.500000"


def test_a_file_says_everything_of_a_guard(apply):
    plan = RatePlan.objects.get()
    whole = f"""
guards:
  - id: plan
    scope: PLAN
    plan: {plan.name}
    mode: ALERT_ONLY
    cost_floor: 2.5
    actions: {{level_2: {{throttle_rate: 40%}}}}
    floors: {{{plan.name}: 25%}}
  - id: one
    scope: CUSTOMER
    customer: cust_1
    active: false
"""
    assert apply(whole, dry_run=True) == ["plan: would be created", "one: would be created"]
    assert not MarginGuard.objects.exists()
    apply(whole)
    first = MarginGuard.objects.get(code="plan")
    assert (first.rate_plan, first.mode, first.throttle_rate) == (plan, "ALERT_ONLY", 40)
    assert (first.floors.get().percent, str(first.cost_floor)) == (25, "2.500000000000")
    second = MarginGuard.objects.get(code="one")
    assert (second.customer.external_id, second.is_active) == ("cust_1", False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("guards: 5", "no file of guards"),
        ("guards: [{id: x, colour: red}]", "colour"),
        ("guards: [{id: a}, {id: x, metric: unheard}]", "no metric 'unheard'"),
        ("guards: [{id: x, min_margin: much}]", "no number or percentage"),
        ("guards: [{id: x, min_margin: 5}]", "fall in this order"),
        ("guards: [{id: x}", "no file of guards"),
        (
            "guards: [{id: x, actions: {level_3: {notify: [pagerduty]}}}]",
            r"actions.level_3.notify: guard 'x': 'pagerduty' is no channel \(webhook, slack, email",
        ),
        (
            "guards: [{id: x, actions: {level_2: {throttle_rate: 5req/week}}}]",
            "actions.level_2.throttle_rate: guard 'x': '5req/week' is no percentage",
        ),
    ],
)
def test_all_or_none(apply, text, said):
    with pytest.raises(CommandError, match=said):
        apply(text)
    assert not MarginGuard.objects.exists()
