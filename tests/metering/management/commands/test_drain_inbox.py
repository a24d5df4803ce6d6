import io
import json

import pytest
from django.core.management import call_command

EVENT = {"customerId": "cust_1", "metricName": "calls", "quantity": 1}


def figures_of(*arguments):
    printed = io.StringIO()
    call_command("drain_inbox", *arguments, stdout=printed)
    return [json.loads(line) for line in printed.getvalue().splitlines()]


@pytest.fixture
def lines(monkeypatch):
    """What comes in on standard input."""

    def come_in(text):
        monkeypatch.setattr("sys.stdin", io.StringIO(text))

    return come_in


def test_until_empty_drains_merge_by_merge_and_says_what_it_took(seller):
    for _ in range(3):
        seller.send(EVENT, EVENT)
    (figures,) = figures_of("--until-empty", "--limit", "4")
    assert (figures["events"], figures["merges"]) == (6, 2)
    assert figures["seconds"] > 0
    assert figures["cpuSeconds"] > 0


def test_without_it_one_merge_is_drained(seller):
    for _ in range(3):
        seller.send(EVENT, EVENT)
    (figures,) = figures_of("--limit", "2")
    assert (figures["events"], figures["merges"]) == (2, 1)


def test_each_line_asks_for_a_drain_and_may_name_its_limit(seller, lines):
    for _ in range(3):
        seller.send(EVENT, EVENT)
    lines("2\n\n\n")
    drained = figures_of("--until-empty", "--at-each-line")
    assert [(one["events"], one["merges"]) for one in drained] == [(6, 3), (0, 0), (0, 0)]


def test_a_shard_leaves_the_others_alone(seller):
    seller.send(EVENT)
    drained = [figures_of("--shard", str(shard), "--shards", "2")[0]["events"] for shard in (0, 1)]
    assert sorted(drained) == [0, 1]
