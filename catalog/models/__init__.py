"""What is sold, to whom, at what price."""

from catalog.models.billable_units import BillableUnit
from catalog.models.billing_entities import BillingEntity
from catalog.models.customers import Customer, CustomerAlias
from catalog.models.offerings import Offering, OfferingPlan
from catalog.models.products import Product
from catalog.models.rate_plans import RatePlan, RatePlanVersion, UnitPrice
from catalog.models.subscriptions import Subscription, SubscriptionPeriod, SubscriptionPlan

__all__ = [
    "BillableUnit",
    "BillingEntity",
    "Customer",
    "CustomerAlias",
    "Offering",
    "OfferingPlan",
    "Product",
    "RatePlan",
    "RatePlanVersion",
    "Subscription",
    "SubscriptionPeriod",
    "SubscriptionPlan",
    "UnitPrice",
]
