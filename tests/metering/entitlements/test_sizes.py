"""What access checks read stays small, however much a customer uses and is called."""

import pytest

from aforo import valkey
from catalog.models import BillableUnit, CustomerAlias, RatePlan
from metering.entitlements import state
from tests.factories import CustomerAliasFactory, RatePlanVersionFactory
from tests.metering.conftest import subscribe
from tests.metering.entitlements.conftest import feature_of, hash_of
from tests.metering.events import event

pytestmark = pytest.mark.django_db


def regional(seller, **unit):
    """A unit of which each region has its own total, limited by a feature to 100."""
    own = BillableUnit.objects.get(tenant=seller.tenant, name="tokens")
    BillableUnit.objects.filter(pk=own.pk).update(**unit)
    terms = {"model": "PER_UNIT", "rate": "0.01", "groupBy": ["region"]}
    version = RatePlanVersionFactory(tenant=seller.tenant, prices={own: terms}, published=True)
    feature_of(seller.tenant, version.rate_plan, "words", kind="LIMIT", unit=own, limit=100)
    return subscribe(seller.tenant, "cust_2", version)


def use(seller, region, quantity):
    seller.count(
        event(
            customerId="cust_2",
            metricName="tokens",
            quantity=quantity,
            metadata={"region": region},
            idempotencyKey=f"{region}-{quantity}",
        )
    )


@pytest.mark.parametrize(("aggregation", "used"), [("SUM", "62.5"), ("MAX", "40")])
def test_a_unit_of_many_dimensions_has_one_field_with_what_counts(
    seller, gateway, aggregation, used, django_capture_on_commit_callbacks
):
    regional(seller, aggregation=aggregation)
    use(seller, "eu", 20)
    gateway.sync()
    with django_capture_on_commit_callbacks(execute=True):  # as a drain tells: no sync follows
        use(seller, "us", 40)
        use(seller, "asia", "2.5")
    (field,) = (name for name in hash_of(seller.tenant, "cust_2") if name.startswith(b"u:"))
    told = hash_of(seller.tenant, "cust_2")[field]
    assert told.split(b" ")[1:] == [used.encode(), b"0"]
    gateway.sync()
    assert hash_of(seller.tenant, "cust_2")[field] == told
    asked = gateway.quota("tokens", customer="cust_2")
    assert str(asked["currentUsage"]) == used


def test_nothing_is_kept_of_units_that_nobody_limits(seller, gateway):
    seller.count(event(idempotencyKey="a"))
    key = state.key_of(seller.tenant.pk, "cust_1")
    valkey.client().hset(key, "u:0123:77", "1:1 of another release")
    gateway.sync()
    assert hash_of(seller.tenant).keys() == {b"s"}
    asked = gateway.quota("calls")
    assert (asked["decision"], asked["limit"], asked["currentUsage"]) == ("ALLOW", None, None)
    plan = RatePlan.objects.get(tenant=seller.tenant)
    unit = BillableUnit.objects.get(tenant=seller.tenant, name="calls")
    feature_of(seller.tenant, plan, "api", kind="LIMIT", unit=unit, limit=10)
    gateway.sync()
    assert gateway.quota("calls")["currentUsage"] == 1


def test_no_call_of_redis_has_more_than_some_hundred_things_to_write(seller, gateway, monkeypatch):
    owner = regional(seller).customer
    CustomerAlias.objects.bulk_create(  # any tenant: of a test
        CustomerAliasFactory.build(tenant=seller.tenant, customer=owner, label=f"n{n}")
        for n in range(1_200)
    )
    sizes = []
    redis = valkey.client()
    sent = redis.execute_command

    def measured(*arguments, **options):
        sizes.append(len(arguments))
        return sent(*arguments, **options)

    monkeypatch.setattr(redis, "execute_command", measured)
    fields = [state.Field(f"u:{n}", state.Version(1, 1), b"1 0") for n in range(1_700)]
    state.put(seller.tenant.pk, {"c": fields, "d": fields[:3]})
    assert len(sizes) == 4
    gateway.sync()
    assert max(sizes) < 4 * state.FIELDS_PER_CALL + 50
    assert gateway.quota("tokens", customer="n700")["limit"] == 100
