from datetime import timedelta
from decimal import Decimal

import pytest

from aforo.errors import Conflict, NotFound, Refused
from aforo.tenancy.models import AuditEntry
from catalog.models import Coupon
from catalog.services import coupons
from tests.factories import NOW, CouponFactory, CustomerFactory, OfferingFactory

pytestmark = pytest.mark.django_db
FIXED = {"discount_type": "FIXED_AMOUNT", "currency": "USD", "discount_value": Decimal(5)}
TRIAL = {"discount_type": "TRIAL_DAYS", "discount_value": Decimal(14)}


@pytest.fixture
def make(tenant, actor):
    def make(**fields):
        whose = {key: fields.pop(key) for key in ("offerings", "customer") if key in fields}
        given = {
            "code": "SPRING-26",
            "discount_type": "PERCENTAGE",
            "discount_value": Decimal(10),
        }
        draft = coupons.CouponDraft(**(given | fields))
        return coupons.create_coupon(tenant=tenant, actor=actor, now=NOW, draft=draft, **whose)

    return make


def test_a_coupon_is_for_what_it_says_and_is_noted(make, tenant):
    offering, customer = OfferingFactory(tenant=tenant), CustomerFactory(tenant=tenant)
    coupon = make(offerings=[offering], customer=customer, max_redemptions=5)
    assert (coupon.duration, coupon.max_redemptions_per_customer) == (Coupon.Duration.ONCE, 1)
    assert list(coupon.offerings.all()) == [offering]
    entry = AuditEntry.objects.for_tenant(tenant).get()
    assert entry.action == "COUPON_CREATED"
    assert entry.changes["offerings"]["after"] == [offering.code]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"code": "spring"}, "code"),
        ({"code": ""}, "code"),
        ({"code": "A" * 65}, "code"),
        ({"code": "SPRING 26"}, "code"),
        ({"discount_value": Decimal(0)}, "discountValue"),
        ({"discount_value": Decimal("100.01")}, "discountValue"),
        ({"discount_type": "HALF"}, "discountType"),
        ({"currency": "USD"}, "currency"),
        (FIXED | {"currency": ""}, "currency"),
        (FIXED | {"currency": "XXQ"}, "currency"),
        ({"duration": "REPEATING"}, "durationInMonths"),
        ({"duration": "REPEATING", "duration_in_months": 61}, "durationInMonths"),
        ({"duration_in_months": 3}, "durationInMonths"),
        ({"max_redemptions": 0}, "maxRedemptions"),
        ({"max_redemptions_per_customer": 0}, "maxRedemptionsPerCustomer"),
        ({"valid_from": NOW, "valid_until": NOW}, "validUntil"),
        (TRIAL | {"discount_value": Decimal("1.5")}, "discountValue"),
        (TRIAL | {"discount_value": Decimal(731)}, "discountValue"),
        (TRIAL | {"duration": "FOREVER"}, "duration"),
    ],
)
def test_a_coupon_that_contradicts_itself_is_refused_by_name(make, tenant, fields, field):
    with pytest.raises(Refused) as error:
        make(**fields)
    assert error.value.errors[0].field == field
    assert not Coupon.objects.for_tenant(tenant).exists()


@pytest.mark.parametrize("fields", [FIXED, TRIAL, {"discount_value": Decimal(100)}])
def test_what_a_coupon_can_be(make, fields):
    assert make(**fields).discount_value == fields["discount_value"]


def test_a_code_is_taken_once_per_tenant(make):
    make()
    CouponFactory(code="AUTUMN")
    make(code="AUTUMN")
    with pytest.raises(Conflict, match="SPRING-26"):
        make()


def test_another_tenants_offering_is_absent(make):
    with pytest.raises(NotFound):
        make(offerings=[OfferingFactory()])


def test_only_limits_change(make, actor):
    coupon = make()
    edits = {"max_redemptions": 3, "valid_until": NOW + timedelta(days=1), "name": "Spring"}
    coupons.edit_coupon(coupon=coupon, edits=edits, actor=actor, now=NOW)
    coupon.refresh_from_db()
    assert (coupon.max_redemptions, coupon.name) == (3, "Spring")
    for wrong in ({"discount_value": Decimal(50)}, {"max_redemptions": 0}):
        with pytest.raises(Refused):
            coupons.edit_coupon(coupon=coupon, edits=wrong, actor=actor, now=NOW)
    coupon.refresh_from_db()
    assert (coupon.discount_value, coupon.max_redemptions) == (10, 3)


def test_archiving_twice_is_archiving_once(make, actor):
    coupon = make()
    for day in range(2):
        coupons.archive_coupon(coupon=coupon, actor=actor, now=NOW + timedelta(days=day))
    coupon.refresh_from_db()
    assert coupon.archived_at == NOW
