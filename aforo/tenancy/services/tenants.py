"""Tenants: made with their secrets, twinned with a sandbox, changed on the record."""

import secrets
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils.text import slugify

from aforo.countries import is_country
from aforo.errors import Conflict, FieldError, Refused
from aforo.money import minor_units
from aforo.spelling import on_the_wire
from aforo.tenancy.models import Tenant
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor

_SECRET_BYTES = 32
MOST_DAYS = 36_500  # a century: further back than any calendar of events
_SLUG_LENGTH = 60  # leaves room for "-sandbox" and a number
SETTINGS = frozenset(
    {
        "name",
        "time_zone",
        "country",
        "settlement_delay",
        "unknown_metric",
        "late_policy",
        "dead_letter_days",
        "dead_letter_threshold",
        "session_summaries",
        "access_fallback",
    }
)


@transaction.atomic
def create_tenant(
    *,
    name: str,
    currency: str,
    actor: Actor,
    now: datetime,
    slug: str | None = None,
    time_zone: str = "UTC",
    country: str = "",
) -> Tenant:
    """A new live tenant. Its slug is made from `name` unless given.

    A given one must be free, and without capitals.
    """
    tenant = Tenant(
        name=name.strip(),
        currency=currency,
        time_zone=time_zone,
        country=country,
        hash_secret=secrets.token_bytes(_SECRET_BYTES),
        created_at=now,
    )
    tenant.slug = slug or slugify(name)[:_SLUG_LENGTH] or "tenant"
    _require_valid(tenant)
    _require_small_letters(tenant.slug)
    _insert_under_free_slug(tenant, must_be=slug)
    changes = audit.differences({}, {"name": tenant.name, "currency": currency})
    audit.record(
        tenant=tenant, actor=actor, action="TENANT_CREATED", target=tenant, now=now, changes=changes
    )
    return tenant


@transaction.atomic
def create_sandbox(*, tenant: Tenant, actor: Actor, now: datetime) -> Tenant:
    """The twin of a live tenant: the same settings, a secret and a clock of its own, no rows yet.

    What the live twin sells is cloned by the catalog, which stands above this app.
    """
    if tenant.is_sandbox:
        raise Refused(f"tenant '{tenant}' is a sandbox and has no sandbox of its own")
    # Two of these would race for one twin.
    Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
    if Tenant.objects.filter(live_twin=tenant).exists():
        raise Conflict(f"tenant '{tenant}' has a sandbox already")
    sandbox = Tenant(
        name=f"{tenant.name} (sandbox)"[:200],
        live_twin=tenant,
        currency=tenant.currency,
        time_zone=tenant.time_zone,
        country=tenant.country,
        settlement_delay=timedelta(0),
        unknown_metric=tenant.unknown_metric,
        late_policy=tenant.late_policy,
        access_fallback=tenant.access_fallback,
        hash_secret=secrets.token_bytes(_SECRET_BYTES),
        created_at=now,
    )
    sandbox.slug = f"{tenant.slug[:_SLUG_LENGTH]}-sandbox"
    _insert_under_free_slug(sandbox)
    changes = audit.differences({}, {"live_twin": tenant.slug})
    audit.record(
        tenant=sandbox,
        actor=actor,
        action="SANDBOX_CREATED",
        target=sandbox,
        now=now,
        changes=changes,
    )
    return sandbox


@transaction.atomic
def change_settings(
    *, tenant: Tenant, settings: dict[str, object], actor: Actor, now: datetime
) -> Tenant:
    """Set some of `SETTINGS`; the currency and the clock are not among them."""
    unknown = settings.keys() - SETTINGS
    if unknown:
        raise Refused(f"not a setting that can be changed: {', '.join(sorted(unknown))}")
    locked = Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
    before = {field: getattr(locked, field) for field in settings}
    for field, value in settings.items():
        setattr(locked, field, value)
    _require_valid(locked)
    locked.save(update_fields=list(settings))
    changes = audit.differences(before, settings)
    audit.record(
        tenant=locked, actor=actor, action="TENANT_CHANGED", target=locked, now=now, changes=changes
    )
    bump_catalog(locked)
    return locked


def bump_catalog(tenant: Tenant | UUID) -> None:
    """Say in the caller's transaction that prices may have changed: caches look at this number."""
    tenant_id = tenant.pk if isinstance(tenant, Tenant) else tenant
    Tenant.objects.filter(pk=tenant_id).update(catalog_version=F("catalog_version") + 1)


def _require_valid(tenant: Tenant) -> None:
    errors = []
    try:
        tenant.clean_fields(exclude={"hash_secret", "live_twin"})
    except ValidationError as error:
        errors += [
            FieldError(on_the_wire(field), (first.code or "invalid").upper(), first.messages[0])
            for field, (first, *_) in error.error_dict.items()
        ]
    if tenant.time_zone not in available_timezones():
        errors.append(FieldError("timeZone", "INVALID", f"no time zone '{tenant.time_zone}'"))
    if tenant.country and not is_country(tenant.country):
        errors.append(FieldError("country", "INVALID", f"no country '{tenant.country}'"))
    if tenant.settlement_delay < timedelta(0):
        errors.append(FieldError("settlementDelay", "INVALID", "a delay is not negative"))
    if tenant.dead_letter_days is not None and not 0 < tenant.dead_letter_days <= MOST_DAYS:
        errors.append(FieldError("deadLetterDays", "INVALID", f"1 to {MOST_DAYS}, or empty"))
    if tenant.dead_letter_threshold == 0:
        errors.append(FieldError("deadLetterThreshold", "INVALID", "at least 1, or empty"))
    if not _has_minor_unit(tenant.currency):
        errors.append(FieldError("currency", "INVALID", f"no currency '{tenant.currency}'"))
    if errors:
        raise Refused("; ".join(error.message for error in errors), errors=tuple(errors))


def _require_small_letters(slug: str) -> None:
    """Tenants are named in any letters; two whose slugs differ in these alone would be one name."""
    if slug != slug.lower():
        error = FieldError("slug", "INVALID", "a slug has no capital letters")
        raise Refused(error.message, errors=(error,))


def _has_minor_unit(currency: str) -> bool:
    try:
        minor_units(currency)
    except ValueError:
        return False
    return True


def _insert_under_free_slug(tenant: Tenant, *, must_be: str | None = None) -> None:
    stem, attempt = tenant.slug, 1
    while True:
        tenant.slug = stem if attempt == 1 else f"{stem}-{attempt}"
        try:
            with transaction.atomic():
                tenant.save(force_insert=True)
        except IntegrityError as error:
            if not Tenant.objects.filter(slug=tenant.slug).exists():
                raise  # something else is wrong, and trying again would not end
            if must_be is not None:
                raise Conflict(f"the slug '{must_be}' is taken") from error
            attempt += 1
        else:
            return
