"""Offerings: rate plans packaged for sale."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import transaction

from aforo.tenancy.models import Tenant
from aforo.tenancy.services.actors import Actor
from catalog.models import Offering, OfferingPlan, RatePlan
from catalog.services import changes

EDITABLE = frozenset({"name", "description", "status", "trial_days"})
_SHOWN = EDITABLE | {"code", "type", "billing_mode", "currency"}


@transaction.atomic
def create_offering(
    *,
    tenant: Tenant,
    actor: Actor,
    now: datetime,
    code: str,
    name: str,
    plans: Sequence[RatePlan],
    currency: str,
    billing_mode: str = Offering.BillingMode.POSTPAID,
    type: str = Offering.Type.STANDALONE,  # noqa: A002 - its name on the wire and in the table
    status: str = Offering.Status.ACTIVE,
    description: str = "",
    trial_days: int = 0,
) -> Offering:
    """A new offering of `plans`, the first of which is the primary one, all in its currency."""
    require_billing_mode(billing_mode)
    offering = Offering(
        tenant=tenant,
        code=code,
        name=name,
        currency=currency,
        billing_mode=billing_mode,
        type=type,
        status=status,
        description=description,
        trial_days=trial_days,
        created_at=now,
    )
    changes.require_valid(offering)
    changes.require_currency(currency)
    changes.require_own(tenant, *plans)
    _require_sellable(plans, currency)
    taken = f"there is an offering '{code}' already"
    with changes.conflict_when("offering_code_is_taken_once", taken, field="code"):
        offering.save(force_insert=True)
    OfferingPlan.objects.bulk_create(
        OfferingPlan(tenant=tenant, offering=offering, rate_plan=plan, position=position)
        for position, plan in enumerate(plans)
    )
    after = changes.state_of(offering, _SHOWN) | {"plans": [plan.name for plan in plans]}
    changes.record(offering, action="OFFERING_CREATED", actor=actor, now=now, after=after)
    return offering


@transaction.atomic
def edit_offering(
    *, offering: Offering, edits: Mapping[str, object], actor: Actor, now: datetime
) -> Offering:
    """Change some of `EDITABLE`. Plans and currency stay: subscriptions rest on them."""
    offerings = Offering.objects.for_tenant(offering.tenant_id).select_for_update()
    locked: Offering = offerings.get(pk=offering.pk)
    changes.edit(locked, edits, editable=EDITABLE, action="OFFERING_UPDATED", actor=actor, now=now)
    return locked


def archive_offering(*, offering: Offering, actor: Actor, now: datetime) -> Offering:
    """Sell `offering` no more; what is subscribed goes on."""
    archived = {"status": Offering.Status.ARCHIVED}
    return edit_offering(offering=offering, edits=archived, actor=actor, now=now)


def require_billing_mode(billing_mode: str) -> None:
    """Refuse a way of paying that is not there yet: PREPAID and HYBRID need a wallet."""
    if billing_mode not in Offering.BillingMode:
        known = ", ".join(Offering.BillingMode)
        raise changes.refused(
            "billingMode",
            "UNSUPPORTED",
            f"'{billing_mode}' is not supported, only {known} is: there are no wallets yet",
        )


def _require_sellable(plans: Sequence[RatePlan], currency: str) -> None:
    if not plans:
        raise changes.refused("primaryRatePlanId", "REQUIRED", "an offering holds a rate plan")
    if len({plan.pk for plan in plans}) < len(plans):
        raise changes.refused("ratePlanIds", "DUPLICATE", "an offering holds a plan once")
    for plan in plans:
        if plan.archived_at is not None:
            raise changes.refused("ratePlanIds", "ARCHIVED", f"plan '{plan}' is archived")
        if plan.currency != currency:
            raise changes.refused(
                "currency", "MISMATCH", f"plan '{plan}' is priced in {plan.currency}"
            )
