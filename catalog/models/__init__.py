"""What is sold, to whom, at what price."""

from catalog.models.billable_units import BillableUnit
from catalog.models.billing_entities import BillingEntity
from catalog.models.contracts import Contract, ContractPhase, ContractPrice
from catalog.models.coupons import Coupon, CouponRedemption
from catalog.models.customers import Customer, CustomerAlias
from catalog.models.features import Feature, FeatureOverride, PlanFeature
from catalog.models.offerings import Offering, OfferingPlan
from catalog.models.products import Product
from catalog.models.rate_plans import RatePlan, RatePlanVersion, UnitPrice, VersionCurrency
from catalog.models.subscription_phases import SubscriptionKey, SubscriptionPhase
from catalog.models.subscriptions import Subscription, SubscriptionPeriod, SubscriptionPlan

__all__ = [
    "BillableUnit",
    "BillingEntity",
    "Contract",
    "ContractPhase",
    "ContractPrice",
    "Coupon",
    "CouponRedemption",
    "Customer",
    "CustomerAlias",
    "Feature",
    "FeatureOverride",
    "Offering",
    "OfferingPlan",
    "PlanFeature",
    "Product",
    "RatePlan",
    "RatePlanVersion",
    "Subscription",
    "SubscriptionKey",
    "SubscriptionPeriod",
    "SubscriptionPhase",
    "SubscriptionPlan",
    "UnitPrice",
    "VersionCurrency",
]
