"""Playing small worlds, once or in two ways, and comparing what came of them."""

from collections import defaultdict
from decimal import Decimal

from billing.simulations import runner, scenario
from tests.billing.small_world_truths import Looks, twice

# An act that does not go at that moment: of what is over, paused, not begun; of no invoice at all.
REFUSED = {404, 409, 422}


def play(world):
    """The report of a world whose truths hold after every step."""
    report = runner.run(scenario.of_mapping(world), tell=Looks(world))
    for finding in report.findings:
        assert finding.passed or finding.actual in REFUSED, finding
    return report


def assert_true_throughout(world):
    play(twice(world))


def assert_same_invoices(one, other):
    assert play(one).invoices == play(other).invoices


def assert_same_sums(parts, single):
    """Per period the sum is that of the single one, or more had been asked for before."""
    sums, before, rest = _sums(play(parts))
    wanted, _, _ = _sums(play(single))
    for period in wanted | sums:
        if sums[period] != wanted[period]:
            assert rest[period] == 0, (period, sums[period], wanted[period])
            assert before[period] > wanted[period], (period, before[period], wanted[period])


def _sums(report):
    sums, before, rest = defaultdict(Decimal), defaultdict(Decimal), defaultdict(Decimal)
    for invoice in report.invoices:
        period = invoice["customerExternalId"], invoice["periodStart"], invoice["kind"] == "OPENING"
        total = Decimal(invoice["total"])
        sums[period] += total
        (before if invoice["kind"] == "PROGRESS" else rest)[period] += total
    return sums, before, rest
