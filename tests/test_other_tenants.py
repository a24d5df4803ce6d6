"""One walk over all routes of the admin API: another tenant's row is as absent as none.

A new endpoint is covered before anybody thinks of it.
"""

import re
from uuid import uuid4

import pytest
from django.urls import URLPattern, get_resolver

from aforo.api.views import TenantAPIView
from aforo.tenancy.models import AuditEntry, Tenant
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor
from tests import factories
from tests.clients import operator_client

METHODS = ("get", "post", "put", "patch", "delete")


def routes(patterns, prefix="/"):
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield path, getattr(pattern.callback, "view_class", None)
        else:
            yield from routes(pattern.url_patterns, path)


ROUTES = [
    (path, view)
    for path, view in routes(get_resolver().url_patterns)
    if view is not None and issubclass(view, TenantAPIView) and "<uuid:id>" in path
]


def row_of(model, tenant):
    """A row of `tenant`, by the factory of its model."""
    if model is AuditEntry:
        return audit.record(
            tenant=tenant,
            actor=Actor.system(),
            action="TENANT_CHANGED",
            target=tenant,
            now=factories.NOW,
        )
    kinds = [kind for kind in vars(factories).values() if isinstance(kind, type)]
    owned = [kind for kind in kinds if issubclass(kind, factories.OwnedFactory)]
    return next(kind for kind in owned if kind._meta.model is model)(tenant=tenant)


def test_there_are_routes_to_walk():
    assert len(ROUTES) >= 3


@pytest.mark.django_db
@pytest.mark.parametrize(("path", "view"), ROUTES, ids=str)
def test_another_tenants_row_is_as_absent_as_none(path, view):
    theirs = row_of(view.selector(tenant=Tenant()).model, factories.TenantFactory())
    client = operator_client(factories.TenantFactory(), role="OWNER")

    for row_id in (theirs.pk, uuid4()):
        for method in METHODS:
            url = re.sub(r"<uuid:\w+>", str(row_id), path)
            status = getattr(client, method)(url, {}).status_code
            has_method = hasattr(view, method)
            assert status == (404 if has_method else 405), f"{method} {url} answered {status}"
