"""What is not Python goes into the wheel too: templates, scenarios, what exports carry."""

import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
PACKAGES = SETUPTOOLS["packages"]["find"]["include"]
FILES = sorted(
    path.relative_to(ROOT)
    for package in PACKAGES
    for path in (ROOT / package.removesuffix("*")).rglob("*")
    if path.is_file() and path.suffix not in {".py", ".pyc"}
)


def test_there_are_such_files():
    assert Path("templates/billing/invoice.typ") in FILES
    assert Path("billing/exports/README.txt") in FILES


@pytest.mark.parametrize("path", FILES, ids=str)
def test_it_matches_a_pattern_of_package_data(path):
    patterns = SETUPTOOLS["package-data"]["*"]
    assert any(fnmatch(path.name, pattern) for pattern in patterns)
