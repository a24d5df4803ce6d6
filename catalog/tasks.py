"""Periodic work of the catalog. Every task may run twice."""

from contextlib import suppress

from celery import shared_task
from django.db import OperationalError
from django.utils import timezone
from redis.exceptions import RedisError

from catalog.services import advancing, contract_renewals, gateway_policies, periods


@shared_task(
    name="catalog.extend_periods",
    autoretry_for=(OperationalError,),  # a deadlock or a lost connection; bugs must surface
    retry_backoff=True,
    retry_jitter=True,
    max_retries=3,
    time_limit=600,
    soft_time_limit=570,
)
def extend_periods() -> int:
    """Store the periods that come near, for all tenants; what is stored already stays."""
    return periods.extend_all_periods(now=timezone.now())


@shared_task(
    name="catalog.renew_contracts",
    autoretry_for=(OperationalError,),  # a deadlock or a lost connection; bugs must surface
    retry_backoff=True,
    retry_jitter=True,
    max_retries=3,
    time_limit=600,
    soft_time_limit=570,
)
def renew_contracts() -> int:
    """Renew contracts whose end comes near and end those that are over; what is done stays."""
    return contract_renewals.sweep_contracts(now=timezone.now())


@shared_task(
    name="catalog.advance_subscriptions",
    autoretry_for=(OperationalError,),
    retry_backoff=True,
    retry_jitter=True,
    max_retries=3,
    time_limit=600,
    soft_time_limit=570,
)
def advance_subscriptions() -> int:
    """Let starts, ends of trials, changes of plan and ends take effect; those that did not yet."""
    return advancing.advance_all(now=timezone.now())


@shared_task(name="catalog.write_gateway_policies", time_limit=60, soft_time_limit=50, expires=30)
def write_gateway_policies() -> int:
    """Write limits of keys for gateways; again overwrites. Redis away: they end by themselves."""
    with suppress(RedisError):
        return gateway_policies.write_policies()
    return 0
