"""The lock file: what pyproject.toml asks for, and nothing about where packages come from."""

import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
APART = {"e2e", "gateway"}  # over 100 MB each for one test, installed by whoever runs it
EXTRAS = [lines for extra, lines in PROJECT["optional-dependencies"].items() if extra not in APART]
WANTED = [Requirement(line) for line in [*PROJECT["dependencies"], *chain(*EXTRAS)]]
LOCK = (ROOT / "requirements.lock").read_text()
LOCKED = [
    Requirement(line) for line in LOCK.splitlines() if line and not line.lstrip().startswith("#")
]


@pytest.mark.parametrize("wanted", WANTED, ids=lambda wanted: wanted.name)
def test_every_dependency_is_locked_at_a_version_that_it_allows(wanted):
    name = canonicalize_name(wanted.name)
    versions = [
        next(iter(locked.specifier)).version
        for locked in LOCKED
        if canonicalize_name(locked.name) == name
    ]

    assert versions
    assert all(wanted.specifier.contains(version) for version in versions)


def test_every_version_is_exact():
    operators = {clause.operator for locked in LOCKED for clause in locked.specifier}

    assert operators == {"=="}


def test_no_address_is_in_it():
    assert not re.search(r"://|--(index|extra-index|find-links|trusted)|@", LOCK)


def test_the_worker_that_dies_of_a_dropped_broker_is_not_locked():
    assert "celery==5.7.0" not in LOCK.split()
