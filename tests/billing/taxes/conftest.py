import pytest

from aforo.tenancy.services.actors import Actor
from tests.billing.taxes.engine_server import Engine
from tests.factories import TenantFactory


@pytest.fixture
def tenant(db):
    return TenantFactory()


@pytest.fixture
def actor():
    return Actor.system("tests")


@pytest.fixture
def engine(settings):
    """A tax engine on this machine, which adds 19 % until it is told to do otherwise."""
    settings.PRIVATE_DESTINATIONS = True
    with Engine() as running:
        yield running
