"""Every route of the web process. No trailing slashes: a redirect loses the body of a POST."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView
from rest_framework.permissions import AllowAny

from aforo import health
from aforo.api import problems
from aforo.api.endpoints.token_check import token_check
from catalog.api import oauth
from metering.api.metrics import metrics

_FOR_ALL = {"authentication_classes": [], "permission_classes": [AllowAny]}

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index", query_string=False)),
    path("admin/", include("metering.admin.urls")),
    path("admin/", include("billing.admin.urls")),
    path("admin/", admin.site.urls),
    path("healthz", health.healthz),
    path("actuator/health", health.healthz),
    path("readyz", health.readyz),
    path("metrics", metrics),
    path("api/schema", SpectacularAPIView.as_view(**_FOR_ALL), name="schema"),
    path("api/docs", SpectacularSwaggerView.as_view(**_FOR_ALL)),
    path("internal/v1/auth/token-check", token_check),
    path("oauth/token", oauth.token),
    path("oauth/revoke", oauth.revoke),
    path(".well-known/jwks.json", oauth.jwks),
    path("api/v1/", include("aforo.api.urls")),
    path("api/v1/", include("catalog.api.urls")),
    path("api/v1/", include("billing.api.urls")),
    path("", include("metering.api.urls")),
    path("", include("webhooks.api.urls")),
    path("", include("webhooks.api.outbound_urls")),
]

handler400 = problems.answer_bad_request
handler404 = problems.answer_not_found
handler500 = problems.answer_server_error
