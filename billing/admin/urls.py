"""Pages of billing in the admin that are no lists."""

from django.contrib import admin
from django.urls import path

from billing.admin.plan_comparison import plan_comparison
from billing.admin.previews import subscription_preview

urlpatterns = [
    path(
        "catalog/rateplanversion/<uuid:version_id>/compare",
        admin.site.admin_view(plan_comparison),
        name="billing_plan_comparison",
    ),
    path(
        "catalog/subscription/<uuid:subscription_id>/preview",
        admin.site.admin_view(subscription_preview),
        name="billing_subscription_preview",
    ),
]
