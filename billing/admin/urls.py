"""Pages of billing in the admin that are no lists."""

from django.contrib import admin
from django.urls import path

from billing.admin.plan_comparison import plan_comparison

urlpatterns = [
    path(
        "catalog/rateplanversion/<uuid:version_id>/compare",
        admin.site.admin_view(plan_comparison),
        name="billing_plan_comparison",
    ),
]
