"""The command line of an edge: what it hands on to the server, and without what it ends."""

import os

import pytest
from typer.testing import CliRunner

from aforo.cli import app
from aforo.edge.options import Options
from catalog.aliases import key_of


@pytest.fixture
def become(monkeypatch):
    """What the process would have become: its words and its environment."""
    found = []

    def execve(_, words, environment):
        found.append((words, environment))

    monkeypatch.setattr(os, "execve", execve)
    return found


def test_options_reach_the_server_through_its_environment(become, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "s")
    words = ["edge", "--redis-url", "redis://r/1", "--port", "8011", "--threads", "2", "--internal"]
    more = ["--fresh-seconds", "0", "--stale-seconds", "5", "--tenant", "acme", "--metric", "calls"]
    told = CliRunner().invoke(app, [*words, *more])
    assert told.exit_code == 0, told.output
    ((served, environment),) = become
    assert "aforo.edge.wsgi:application" in served
    assert served[served.index("--port") + 1] == "8011"
    assert served[served.index("--blocking-threads") + 1] == "2"
    assert Options.read(environment) == Options(
        redis_url="redis://r/1",
        alias_key=key_of("s"),
        fresh_seconds=0.0,
        stale_seconds=5.0,
        is_internal=True,
        tenant="acme",
        metric="calls",
    )


def test_an_edge_without_its_key_does_not_start_and_the_key_can_be_printed(become, monkeypatch):
    monkeypatch.delenv("SECRET_KEY", raising=False)
    refused = CliRunner().invoke(app, ["edge", "--redis-url", "redis://r"])
    assert (refused.exit_code, become) == (1, [])
    assert CliRunner().invoke(app, ["edge-key"]).exit_code == 1
    monkeypatch.setenv("SECRET_KEY", "s")
    assert CliRunner().invoke(app, ["edge-key"]).output.strip() == key_of("s").hex()
