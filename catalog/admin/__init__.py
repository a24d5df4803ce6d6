"""The admin of the catalog: what an operator may see and press, in the order of the models."""

from catalog.admin.billing_entities import BillingEntityAdmin
from catalog.admin.contract_phases import ContractPhaseAdmin, ContractPriceAdmin
from catalog.admin.contracts import ContractAdmin
from catalog.admin.coupons import CouponAdmin, CouponRedemptionAdmin
from catalog.admin.customers import CustomerAdmin, CustomerAliasAdmin
from catalog.admin.features import FeatureAdmin, FeatureOverrideAdmin
from catalog.admin.offerings import OfferingAdmin, OfferingPlanAdmin
from catalog.admin.products import BillableUnitAdmin, ProductAdmin
from catalog.admin.rate_plans import RatePlanAdmin, RatePlanVersionAdmin, UnitPriceAdmin
from catalog.admin.subscriptions import (
    SubscriptionAdmin,
    SubscriptionPeriodAdmin,
    SubscriptionPlanAdmin,
)

__all__ = [
    "BillableUnitAdmin",
    "BillingEntityAdmin",
    "ContractAdmin",
    "ContractPhaseAdmin",
    "ContractPriceAdmin",
    "CouponAdmin",
    "CouponRedemptionAdmin",
    "CustomerAdmin",
    "CustomerAliasAdmin",
    "FeatureAdmin",
    "FeatureOverrideAdmin",
    "OfferingAdmin",
    "OfferingPlanAdmin",
    "ProductAdmin",
    "RatePlanAdmin",
    "RatePlanVersionAdmin",
    "SubscriptionAdmin",
    "SubscriptionPeriodAdmin",
    "SubscriptionPlanAdmin",
    "UnitPriceAdmin",
]
