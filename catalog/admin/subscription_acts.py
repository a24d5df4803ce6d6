"""What can be pressed on the page of a subscription: each act asks for a reason, on a page."""

from collections.abc import Mapping
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminSplitDateTimeWidget,
    UnfoldBooleanSwitchWidget,
)

from aforo.tenancy import clock
from aforo.tenancy.admin_acts import Act, ReasonForm
from aforo.tenancy.services.actors import Actor
from catalog.admin.base import Doer
from catalog.models import Offering, RatePlanVersion, Subscription
from catalog.services import pauses, plan_changes, subscriptions, suspensions, trials
from catalog.services.subscriptions import NOW, PERIOD_END

AT = "AT"
Given = Mapping[str, Any]
State = Subscription.State
_RUNNING = frozenset(Subscription.RUNNING)
_WHEN = ((NOW, "now"), (PERIOD_END, "when the billing period ends"))


class Asked(Doer):
    """What every act on a subscription takes."""

    subscription: Subscription


class PhaseForm(ReasonForm):
    """Why: kept with the phase, and in the audit log."""

    field_order: tuple[str, ...] = ("when", "reason")

    def __init__(self, row: Subscription, *args: Any, **kwargs: Any) -> None:
        super().__init__(row, *args, **kwargs)
        kept = "Kept with the subscription's phases, and in the audit log."
        self.fields["reason"].help_text = kept


class CancelForm(PhaseForm):
    when = forms.ChoiceField(choices=(*_WHEN, (AT, "at this time")), widget=UnfoldAdminSelectWidget)
    at = forms.SplitDateTimeField(
        required=False, widget=UnfoldAdminSplitDateTimeWidget, help_text="in UTC, never before now"
    )
    field_order = ("when", "at", "reason")

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if (given.get("when") == AT) != bool(given.get("at")):
            self.add_error("at", "Say a time exactly when it is to end at one.")
        return given


class ChangeForm(PhaseForm):
    """From when, and whether a period that is cut is prorated."""

    when = forms.ChoiceField(choices=_WHEN, widget=UnfoldAdminSelectWidget)
    prorate = forms.BooleanField(
        required=False,
        initial=True,
        widget=UnfoldBooleanSwitchWidget,
        help_text="of a change now: off, both parts of the period are charged whole",
    )


class OfferingForm(ChangeForm):
    offering = forms.ModelChoiceField(
        Offering.objects.none(),  # any tenant: none of them
        widget=UnfoldAdminSelectWidget,
    )
    field_order = ("offering", "when", "prorate", "reason")

    def __init__(self, row: Subscription, *args: Any, **kwargs: Any) -> None:
        super().__init__(row, *args, **kwargs)
        others = Offering.objects.for_tenant(row.tenant_id).filter(status=Offering.Status.ACTIVE)
        _choices(self, "offering", others.exclude(pk=row.offering_id).order_by("name"))


class VersionForm(ChangeForm):
    version = forms.ModelChoiceField(
        RatePlanVersion.objects.none(),  # any tenant: none of them
        widget=UnfoldAdminSelectWidget,
    )
    field_order = ("version", "when", "prorate", "reason")

    def __init__(self, row: Subscription, *args: Any, **kwargs: Any) -> None:
        super().__init__(row, *args, **kwargs)
        pinned = row.plans.filter(end_at=None)
        versions = RatePlanVersion.objects.for_tenant(row.tenant_id).filter(
            rate_plan__in=pinned.values("version__rate_plan"),
            status=RatePlanVersion.Status.PUBLISHED,
        )
        others = versions.exclude(pk__in=pinned.values("version")).select_related("rate_plan")
        _choices(self, "version", others.order_by("rate_plan", "-number"))


def acts_of(subscription: Subscription) -> dict[str, Act]:
    """What can be pressed for a subscription in its state, by the name in the path."""
    return {name: act for name, act in ACTS.items() if subscription.state in act.states}


def _choices(form: forms.Form, name: str, rows: Any) -> None:
    field = form.fields[name]
    if isinstance(field, forms.ModelChoiceField):
        field.queryset = rows


def _cancel(subscription: Subscription, given: Given, actor: Actor) -> Subscription:
    when = PERIOD_END if given["when"] == PERIOD_END else NOW
    about = {"at": given["at"], "when": when, "reason": given["reason"]}
    return subscriptions.cancel_subscription(**_of(subscription, actor), **about)


def _pause(subscription: Subscription, given: Given, actor: Actor) -> Subscription:
    return pauses.pause_subscription(**_of(subscription, actor), **given)


def _resume(subscription: Subscription, given: Given, actor: Actor) -> Subscription:
    return pauses.resume_subscription(**_of(subscription, actor), **given)


def _suspend(subscription: Subscription, given: Given, actor: Actor) -> Subscription:
    return suspensions.suspend_subscription(**_of(subscription, actor), **given)


def _reinstate(subscription: Subscription, given: Given, actor: Actor) -> Subscription:
    return suspensions.reinstate_subscription(**_of(subscription, actor), **given)


def _convert(subscription: Subscription, given: Given, actor: Actor) -> Subscription:
    return trials.convert_trial(**_of(subscription, actor), **given)


def _change(subscription: Subscription, given: Given, actor: Actor) -> Subscription:
    return plan_changes.change_offering(**_of(subscription, actor), **given).subscription


def _move(subscription: Subscription, given: Given, actor: Actor) -> Subscription:
    return plan_changes.move_to_version(**_of(subscription, actor), **given).subscription


def _of(subscription: Subscription, actor: Actor) -> Asked:
    return {"subscription": subscription, "actor": actor, "now": clock.now(subscription.tenant)}


ACTS: Mapping[str, Act] = {
    "change": Act(
        "Change offering",
        "swap_horiz",
        "It keeps its customer, currency, anchor and what is left of a trial.",
        _RUNNING,
        _change,
        OfferingForm,
    ),
    "move": Act(
        "Move to version",
        "upgrade",
        "Publishing a version moves nobody: this does.",
        _RUNNING,
        _move,
        VersionForm,
    ),
    "convert": Act(
        "Convert trial",
        "paid",
        "The trial ends now, and what follows is paid for.",
        {State.TRIALING},
        _convert,
        PhaseForm,
    ),
    "pause": Act(
        "Pause",
        "pause",
        "The billing period is cut. Until it is resumed its events are refused, and nothing is"
        " owed.",
        {State.TRIALING, State.ACTIVE},
        _pause,
        PhaseForm,
    ),
    "resume": Act(
        "Resume",
        "play_arrow",
        "Usage is taken and billed again from now on, to the same anchor.",
        {State.PAUSED},
        _resume,
        PhaseForm,
    ),
    "suspend": Act(
        "Suspend",
        "block",
        "Access checks say no until it is reinstated. Usage and billing go on.",
        {State.ACTIVE, State.PAST_DUE},
        _suspend,
        PhaseForm,
    ),
    "reinstate": Act(
        "Reinstate",
        "check_circle",
        "Access checks say yes again.",
        {State.SUSPENDED},
        _reinstate,
        PhaseForm,
    ),
    "cancel": Act(
        "Cancel",
        "cancel",
        "Its keys are revoked when it ends, and its last billing period is prorated.",
        _RUNNING | {State.PAUSED},
        _cancel,
        CancelForm,
        is_dangerous=True,
    ),
}
