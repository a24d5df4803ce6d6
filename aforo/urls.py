"""Every route of the web process. No trailing slashes: a redirect loses the body of a POST."""

from django.contrib import admin
from django.urls import include, path

from aforo.api import problems

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/v1/", include("aforo.api.urls")),
    path("", include("metering.api.urls")),
]

handler400 = problems.answer_bad_request
handler404 = problems.answer_not_found
handler500 = problems.answer_server_error
