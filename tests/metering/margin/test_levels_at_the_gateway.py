"""From usage and costs to what a gateway is answered: alert, header, 429 and the way back."""

from decimal import Decimal

import pytest

from catalog.models import Customer, RatePlan
from metering.models import Alert, MarginGuard
from metering.services import margins
from tests.factories import CostEventFactory
from tests.metering.conftest import NOW, catalog_changed
from tests.metering.entitlements.conftest import Gateway, feature_of
from tests.metering.events import event

QUICK = "/internal/v1/margin-guard/quick-check?scopeType=CUSTOMER&scopeId=cust_1&tenantId="


@pytest.fixture
def gateway(seller, client, settings):
    settings.INTERNAL_LISTENER = True
    feature_of(seller.tenant, RatePlan.objects.get(), "search")
    MarginGuard.objects.create(
        tenant=seller.tenant, code="all", throttle_rate=50, requests_per_second=5, created_at=NOW
    )
    catalog_changed(seller.tenant)
    gateway = Gateway(client, seller.tenant)
    gateway.sync()
    return gateway


def test_every_level_arrives_at_the_gateway(seller, gateway, django_capture_on_commit_callbacks):
    def asked():
        """What each door answers once everybody has been judged."""
        with django_capture_on_commit_callbacks(execute=True):
            margins.evaluate_tenant(tenant_id=seller.tenant.pk, now=NOW)
        gateway.sync()  # the other half of what Redis holds: it leaves margins alone
        access = gateway.can_access("search")
        quick = gateway.client.get(QUICK + seller.tenant.slug).json()
        return access, quick

    def spend(amount):
        customer = Customer.objects.get()
        CostEventFactory(tenant=seller.tenant, customer_id=customer.pk, amount=Decimal(amount))

    seller.count(*(event(n) for n in range(500)))  # 10 in, 0.5 out
    access, quick = asked()
    assert (access["allowed"], access["headers"], quick["level"]) == (True, {}, "NONE")
    assert access["margin"] == {"level": "NONE", "percent": 95}

    spend(8)  # 15 % are left
    access, quick = asked()
    assert (access["allowed"], quick["level"]) == (True, "L1_ALERT")
    assert access["headers"] == {"X-Margin-Guard-Warning": "margin-low"}
    assert Alert.objects.get(state="OPEN").kind == "MARGIN_WARNING"

    spend(1)  # 5 %
    access, quick = asked()
    assert (access["allowed"], access["reason"]) == (True, "OK")
    assert (access["headers"]["X-Aforo-Throttle"], access["headers"]["X-Margin-Guard"]) == (
        "true",
        "throttled",
    )
    assert access["headers"]["X-Aforo-Throttle-Rate"] == "5"
    assert (quick["allowed"], quick["level"], quick["throttleRate"]) == (True, "L2_THROTTLE", 50)
    assert quick["requestsPerSecond"] == 5

    spend(1)  # less than nothing
    access, quick = asked()
    assert (access["allowed"], access["reason"]) == (False, "MARGIN_BLOCKED")
    assert access["headers"]["Retry-After"] == "1800"
    assert (quick["allowed"], quick["level"]) == (False, "L3_BLOCK")
    assert quick["message"] == "a margin of -5 % is below 0 %"

    seller.count(*(event(n) for n in range(500, 1000)))  # 20 in, 11 out
    access, quick = asked()
    assert (access["allowed"], access["reason"], quick["level"]) == (True, "OK", "NONE")
    assert access["margin"] == {"level": "NONE", "percent": 45}
