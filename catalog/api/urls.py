"""Routes of the catalog, below /api/v1/."""

from django.urls import path

from catalog.api.billing_entities import (
    BillingEntities,
    BillingEntityDetail,
    BillingEntityLogo,
    BillingEntityTaxSecret,
)
from catalog.api.contracts import (
    ContractActivation,
    ContractDetail,
    Contracts,
    ContractTermination,
)
from catalog.api.coupons import (
    CouponDetail,
    CouponRedeeming,
    CouponRedemptions,
    CouponRevocation,
    Coupons,
)
from catalog.api.customers import (
    CustomerAliasDetail,
    CustomerAliases,
    CustomerDetail,
    Customers,
)
from catalog.api.features import (
    FeatureDetail,
    Features,
    RatePlanFeature,
    RatePlanFeatures,
    SubscriptionFeature,
    SubscriptionFeatures,
)
from catalog.api.metrics import MetricDetail, Metrics, MetricsFromTemplates, MetricTemplates
from catalog.api.offerings import OfferingDetail, Offerings
from catalog.api.pricing import PricingPreview
from catalog.api.products import ProductDetail, Products
from catalog.api.rate_plans import (
    RatePlanDetail,
    RatePlanPublication,
    RatePlans,
    RatePlanSearch,
    RatePlanVersions,
)
from catalog.api.subscription_routes import routes as subscription_routes

urlpatterns = [
    path("products", Products.as_view()),
    path("products/<uuid:id>", ProductDetail.as_view()),
    path("metrics", Metrics.as_view()),
    path("metrics/bulk", MetricsFromTemplates.as_view()),
    path("metrics/templates/<str:product_type>", MetricTemplates.as_view()),
    path("metrics/<uuid:id>", MetricDetail.as_view()),
    path("rateplans", RatePlans.as_view()),
    path("rateplans/search", RatePlanSearch.as_view()),
    path("rateplans/<uuid:id>", RatePlanDetail.as_view()),
    path("rateplans/<uuid:id>/versions", RatePlanVersions.as_view()),
    path("rateplans/<uuid:id>/publish", RatePlanPublication.as_view()),
    path("offerings", Offerings.as_view()),
    path("offerings/<uuid:id>", OfferingDetail.as_view()),
    path("customers", Customers.as_view()),
    path("customers/<uuid:id>", CustomerDetail.as_view()),
    path("customers/<uuid:id>/aliases", CustomerAliases.as_view()),
    path("customers/<uuid:id>/aliases/<uuid:alias_id>", CustomerAliasDetail.as_view()),
    *subscription_routes,
    path("billing-entities", BillingEntities.as_view()),
    path("billing-entities/<uuid:id>", BillingEntityDetail.as_view()),
    path("billing-entities/<uuid:id>/logo", BillingEntityLogo.as_view()),
    path("billing-entities/<uuid:id>/tax-secret", BillingEntityTaxSecret.as_view()),
    path("contracts", Contracts.as_view()),
    path("contracts/<uuid:id>", ContractDetail.as_view()),
    path("contracts/<uuid:id>/activate", ContractActivation.as_view()),
    path("contracts/<uuid:id>/terminate", ContractTermination.as_view()),
    path("coupons", Coupons.as_view()),
    path("coupons/redeem-for-customer", CouponRedeeming.as_view()),
    path("coupons/redemptions", CouponRedemptions.as_view()),
    path("coupons/redemptions/<uuid:id>/revoke", CouponRevocation.as_view()),
    path("coupons/<uuid:id>", CouponDetail.as_view()),
    path("features", Features.as_view()),
    path("features/<uuid:id>", FeatureDetail.as_view()),
    path("rateplans/<uuid:id>/features", RatePlanFeatures.as_view()),
    path("rateplans/<uuid:id>/features/<str:key>", RatePlanFeature.as_view()),
    path("subscriptions/<uuid:id>/features", SubscriptionFeatures.as_view()),
    path("subscriptions/<uuid:id>/features/<str:key>", SubscriptionFeature.as_view()),
    path("pricing/preview", PricingPreview.as_view()),
]
