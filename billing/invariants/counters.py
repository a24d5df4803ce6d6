"""A truth of what gateways are told: quotas in Redis are those of the running totals."""

from collections.abc import Iterator

from django.utils import timezone
from redis.exceptions import RedisError

from aforo.tenancy.models import Tenant
from billing.invariants.violations import Scope, Violation
from metering.entitlements.drift import drifted

SAMPLE = 100  # customers of a tenant


def quotas_off_their_totals(scope: Scope) -> Iterator[Violation]:
    """Of tenants whose access checks are written whole; what waits in the inbox is in neither."""
    tenants = Tenant.objects.order_by("pk")
    if scope.tenant_id is not None:
        tenants = tenants.filter(pk=scope.tenant_id)
    most = None if scope.full else SAMPLE
    try:
        for tenant in tenants:
            for one in drifted(tenant, now=timezone.now(), most=most):
                where = f"customer {one.customer} of {tenant.slug}, {one.field}"
                yield Violation(where, f"{one.told} in Redis, {one.counted} counted")
    except RedisError as error:
        yield Violation("Redis", f"cannot be asked: {error}")
