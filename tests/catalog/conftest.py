import pytest

from aforo.tenancy.services.actors import Actor
from tests.factories import TenantFactory


@pytest.fixture
def tenant(db):
    return TenantFactory()


@pytest.fixture
def actor():
    return Actor.system("tests")
