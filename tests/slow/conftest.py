"""For slow tests: whole stacks, with servers of their own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from aforo.embedded.stack import Stack
from tests.aforo.embedded.conftest import folder, guard, module_folder
from tests.slow.installations import Inside, Tenant, forget_servers, own_stack
from tests.slow.load import CLOCK, START

__all__ = ["folder", "guard", "module_folder"]
LONGEST = (
    "test_chaos",
    "test_deliveries",  # waits more than it works, as chaos needs it of its neighbours
    "test_kills",
    "test_monitors_year",
    "test_stack",
    "test_demo",
    "test_margin_levels",
    "test_fuzz_doors",
    "test_fuzz",
    "test_openapi",
    "test_every_combination",
    "test_wire",
    "test_wrong_types",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest first: none is left that one process runs, and others wait."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONGEST)))


@pytest.fixture
def own_servers(monkeypatch) -> None:
    forget_servers(monkeypatch)


@pytest.fixture
def start_stack(own_servers, folder) -> Iterator[Callable[..., Stack]]:
    """Start a stack, as `aforo up` does, on any free port; it is stopped after the test."""
    with ExitStack() as stacks:

        def start(*, data_dir: Path = folder, **options: int) -> Stack:
            return stacks.enter_context(Stack(data_dir=data_dir, port=0, **options))

        yield start


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """One installation for all tests of a module; each has a tenant of its own."""
    with own_stack() as stack:
        yield stack


@pytest.fixture(scope="module")
def inside(stack) -> Iterator[Inside]:
    with Inside(stack.environment()) as inside:
        yield inside


@pytest.fixture
def tenant(stack, inside) -> Tenant:
    tenant = Tenant.seeded(inside, stack.url, start=START)
    with tenant.seller() as seller:
        seller.freeze_clock(CLOCK)
    return tenant
