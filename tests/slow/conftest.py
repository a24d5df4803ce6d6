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
