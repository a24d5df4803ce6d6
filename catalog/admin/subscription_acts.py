"""What can be pressed on the page of a subscription: each act asks for a reason, on a page."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminSplitDateTimeWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from catalog.admin.base import Doer
from catalog.models import Offering, RatePlanVersion, Subscription
from catalog.services import pauses, plan_changes, subscriptions, trials
from catalog.services.subscriptions import NOW, PERIOD_END

AT = "AT"
State = Subscription.State
_RUNNING = frozenset(Subscription.RUNNING)
_WHEN = ((NOW, "now"), (PERIOD_END, "when the billing period ends"))


class ReasonForm(forms.Form):
    """Why: kept with the phase, and in the audit log."""

    reason = forms.CharField(
        max_length=1000,
        widget=UnfoldAdminTextInputWidget,
        help_text="Kept with the subscription's phases, and in the audit log.",
    )
    field_order: tuple[str, ...] = ("when", "reason")

    def __init__(self, subscription: Subscription, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.subscription = subscription


class CancelForm(ReasonForm):
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


class ChangeForm(ReasonForm):
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

    def __init__(self, subscription: Subscription, *args: Any, **kwargs: Any) -> None:
        super().__init__(subscription, *args, **kwargs)
        others = Offering.objects.for_tenant(subscription.tenant_id).filter(
            status=Offering.Status.ACTIVE
        )
        _choices(self, "offering", others.exclude(pk=subscription.offering_id).order_by("name"))


class VersionForm(ChangeForm):
    version = forms.ModelChoiceField(
        RatePlanVersion.objects.none(),  # any tenant: none of them
        widget=UnfoldAdminSelectWidget,
    )
    field_order = ("version", "when", "prorate", "reason")

    def __init__(self, subscription: Subscription, *args: Any, **kwargs: Any) -> None:
        super().__init__(subscription, *args, **kwargs)
        pinned = subscription.plans.filter(end_at=None)
        versions = RatePlanVersion.objects.for_tenant(subscription.tenant_id).filter(
            rate_plan__in=pinned.values("version__rate_plan"),
            status=RatePlanVersion.Status.PUBLISHED,
        )
        others = versions.exclude(pk__in=pinned.values("version")).select_related("rate_plan")
        _choices(self, "version", others.order_by("rate_plan", "-number"))


@dataclass(frozen=True, slots=True)
class Act:
    """One button: what it says, the states it is offered in, and the service behind it."""

    title: str
    icon: str
    consequence: str
    states: Collection[str]
    form: type[ReasonForm]
    do: Callable[[Subscription, Mapping[str, Any], Doer], object]
    is_dangerous: bool = False


def acts_of(subscription: Subscription) -> dict[str, Act]:
    """What can be pressed for a subscription in its state, by the name in the path."""
    return {name: act for name, act in ACTS.items() if subscription.state in act.states}


def _choices(form: forms.Form, name: str, rows: Any) -> None:
    field = form.fields[name]
    if isinstance(field, forms.ModelChoiceField):
        field.queryset = rows


def _cancel(subscription: Subscription, given: Mapping[str, Any], doing: Doer) -> object:
    when = PERIOD_END if given["when"] == PERIOD_END else NOW
    return subscriptions.cancel_subscription(
        subscription=subscription, at=given["at"], when=when, reason=given["reason"], **doing
    )


def _pause(subscription: Subscription, given: Mapping[str, Any], doing: Doer) -> object:
    return pauses.pause_subscription(subscription=subscription, reason=given["reason"], **doing)


def _resume(subscription: Subscription, given: Mapping[str, Any], doing: Doer) -> object:
    return pauses.resume_subscription(subscription=subscription, reason=given["reason"], **doing)


def _convert(subscription: Subscription, given: Mapping[str, Any], doing: Doer) -> object:
    return trials.convert_trial(subscription=subscription, reason=given["reason"], **doing)


def _change(subscription: Subscription, given: Mapping[str, Any], doing: Doer) -> object:
    return plan_changes.change_offering(subscription=subscription, **given, **doing)


def _move(subscription: Subscription, given: Mapping[str, Any], doing: Doer) -> object:
    return plan_changes.move_to_version(subscription=subscription, **given, **doing)


ACTS: Mapping[str, Act] = {
    "change": Act(
        "Change offering",
        "swap_horiz",
        "It keeps its customer, currency, anchor and what is left of a trial.",
        _RUNNING,
        OfferingForm,
        _change,
    ),
    "move": Act(
        "Move to version",
        "upgrade",
        "Publishing a version moves nobody: this does.",
        _RUNNING,
        VersionForm,
        _move,
    ),
    "convert": Act(
        "Convert trial",
        "paid",
        "The trial ends now, and what follows is paid for.",
        {State.TRIALING},
        ReasonForm,
        _convert,
    ),
    "pause": Act(
        "Pause",
        "pause",
        "The billing period is cut. Until it is resumed its events are refused, and nothing is"
        " owed.",
        {State.TRIALING, State.ACTIVE},
        ReasonForm,
        _pause,
    ),
    "resume": Act(
        "Resume",
        "play_arrow",
        "Usage is taken and billed again from now on, to the same anchor.",
        {State.PAUSED},
        ReasonForm,
        _resume,
    ),
    "cancel": Act(
        "Cancel",
        "cancel",
        "Its keys are revoked when it ends, and its last billing period is prorated.",
        _RUNNING | {State.PAUSED},
        CancelForm,
        _cancel,
        is_dangerous=True,
    ),
}
