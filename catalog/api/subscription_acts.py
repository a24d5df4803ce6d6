"""What can be done with a subscription over HTTP: each act is one POST with a reason."""

from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from aforo.api.entities import entity_response
from aforo.api.views import TenantAPIView
from aforo.tenancy.roles import KEY_WRITERS
from catalog.api.fields import found
from catalog.api.subscription_serializers import (
    Cancellation,
    ChangedSubscriptionSerializer,
    IssuedSubscriptionKeySerializer,
    Migration,
    MigrationResult,
    NewSubscriptionKey,
    OfferingChange,
    Reason,
    SubscriptionKeySerializer,
    SubscriptionSerializer,
    VersionMove,
)
from catalog.models import Subscription
from catalog.selectors import listings
from catalog.services import (
    pauses,
    plan_changes,
    subscription_keys,
    subscriptions,
    suspensions,
    trials,
)
from catalog.services.plan_changes import PlanChange


class SubscriptionAct(TenantAPIView):
    """One act on one subscription."""

    selector = listings.subscriptions
    serializer_class: type[BaseSerializer] = SubscriptionSerializer

    def doing(self) -> dict[str, Any]:
        """What every service is told: the subscription, who does it, and when."""
        return {"subscription": self.get_object(), "actor": self.actor, "now": self.now()}

    def shown(self, subscription: Subscription, **more: object) -> Response:
        """The subscription as it stands now."""
        row = self.get_queryset().get(pk=subscription.pk)
        return entity_response({**self.get_serializer(row).data, **more})


class SubscriptionCancellation(SubscriptionAct):
    """Cancelling a subscription."""

    @extend_schema(request=Cancellation)
    def post(self, request: Request, **path: Any) -> Response:
        """End it now, at `cancelAt` or with its period, and revoke its keys with it.

        Its last period is prorated. Again changes nothing.
        """
        doing = self.doing()
        asked = self.read(Cancellation, may_be_empty=True)
        return self.shown(
            subscriptions.cancel_subscription(
                **doing,
                at=asked.get("cancel_at"),
                when=asked["when"],
                reason=asked["reason"],
            )
        )


class SubscriptionPause(SubscriptionAct):
    """Pausing a subscription."""

    @extend_schema(request=Reason)
    def post(self, request: Request, **path: Any) -> Response:
        """Stop usage and billing from now on; its period is cut and prorated."""
        doing = self.doing()
        asked = self.read(Reason, may_be_empty=True)
        return self.shown(pauses.pause_subscription(**doing, **asked))


class SubscriptionResume(SubscriptionAct):
    """Resuming a subscription."""

    @extend_schema(request=Reason)
    def post(self, request: Request, **path: Any) -> Response:
        """Take usage and bill again from now on, to the same anchor."""
        doing = self.doing()
        asked = self.read(Reason, may_be_empty=True)
        return self.shown(pauses.resume_subscription(**doing, **asked))


class SubscriptionSuspension(SubscriptionAct):
    """Suspending a subscription."""

    @extend_schema(request=Reason)
    def post(self, request: Request, **path: Any) -> Response:
        """Deny access checks from now on; usage and billing go on."""
        doing = self.doing()
        asked = self.read(Reason, may_be_empty=True)
        return self.shown(suspensions.suspend_subscription(**doing, **asked))


class SubscriptionReinstatement(SubscriptionAct):
    """Lifting a suspension."""

    @extend_schema(request=Reason)
    def post(self, request: Request, **path: Any) -> Response:
        """Let its customer in again; one that is active is left alone."""
        doing = self.doing()
        asked = self.read(Reason, may_be_empty=True)
        return self.shown(suspensions.reinstate_subscription(**doing, **asked))


class SubscriptionTrialConversion(SubscriptionAct):
    """Paying before a trial ends."""

    @extend_schema(request=Reason)
    def post(self, request: Request, **path: Any) -> Response:
        """End the trial now; what follows is paid for."""
        doing = self.doing()
        asked = self.read(Reason, may_be_empty=True)
        return self.shown(trials.convert_trial(**doing, **asked))


class OfferingChangeAct(SubscriptionAct):
    """Another offering for the same subscription."""

    fact: ClassVar[str] = ""

    def change(self, shape: type[OfferingChange]) -> PlanChange:
        """Do it, as asked."""
        doing = self.doing()
        asked = self.read(shape)
        offerings = listings.offerings(tenant=self.tenant)
        target: UUID = asked["target_offering_id"]
        return plan_changes.change_offering(
            **doing,
            offering=found(offerings, target, field="targetOfferingId"),
            when=asked["when"],
            prorate=asked["prorate"],
            reason=asked["reason"],
            fact=self.fact,
        )

    def changed(self, change: PlanChange) -> Response:
        """The subscription as it stands, and when the change takes effect."""
        return self.shown(change.subscription, effectiveAt=change.effective_at)


class SubscriptionUpgrade(OfferingChangeAct):
    """Upgrading a subscription."""

    fact = "subscription.upgraded"

    @extend_schema(request=OfferingChange, responses=ChangedSubscriptionSerializer)
    def post(self, request: Request, **path: Any) -> Response:
        """Put it on another offering, now or when its period ends, prorated or not."""
        return self.changed(self.change(OfferingChange))


class SubscriptionDowngrade(OfferingChangeAct):
    """Downgrading a subscription."""

    fact = "subscription.downgraded"

    @extend_schema(request=OfferingChange, responses=ChangedSubscriptionSerializer)
    def post(self, request: Request, **path: Any) -> Response:
        """Put it on another offering, now or when its period ends, prorated or not."""
        return self.changed(self.change(OfferingChange))


class SubscriptionMigration(OfferingChangeAct):
    """Migrating a subscription in place."""

    fact = "subscription.migrated"
    serializer_class = MigrationResult

    @extend_schema(request=Migration, responses=MigrationResult)
    def post(self, request: Request, **path: Any) -> Response:
        """Put it on another offering: the same id, customer, anchor and remaining trial."""
        change = self.change(Migration)
        told = {
            "source_subscription_id": change.subscription.pk,
            "target_subscription_id": change.subscription.pk,
            "effective_at": change.effective_at,
            "calendar_refund_usd": change.unused_fees.amount,
            "currency": change.unused_fees.currency,
            "status": change.subscription.state,
        }
        return entity_response(MigrationResult(told).data)


class SubscriptionVersionMove(SubscriptionAct):
    """Moving a subscription to another version of a plan."""

    @extend_schema(request=VersionMove, responses=ChangedSubscriptionSerializer)
    def post(self, request: Request, **path: Any) -> Response:
        """Price it by another published version: nothing else ever moves one."""
        doing = self.doing()
        asked = self.read(VersionMove)
        versions = listings.published_versions(tenant=self.tenant)
        change = plan_changes.move_to_version(
            **doing,
            version=found(versions, asked.pop("version_id"), field="versionId"),
            **asked,
        )
        return self.shown(change.subscription, effectiveAt=change.effective_at)


class SubscriptionKeys(SubscriptionAct):
    """Keys of one subscription."""

    write_roles = KEY_WRITERS
    serializer_class = SubscriptionKeySerializer

    @extend_schema(
        operation_id="subscriptions_keys_list", responses=SubscriptionKeySerializer(many=True)
    )
    def get(self, request: Request, **path: Any) -> Response:
        """The keys that were given out for it, newest first, without their secrets."""
        rows = listings.subscription_keys(tenant=self.tenant)
        page = self.paginate_queryset(rows.filter(subscription=self.get_object()))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(request=NewSubscriptionKey, responses={201: IssuedSubscriptionKeySerializer})
    def post(self, request: Request, **path: Any) -> Response:
        """Issue a metering key that is revoked with the subscription; `secret` is shown once."""
        doing = self.doing()
        asked = self.read(NewSubscriptionKey)
        bound, text = subscription_keys.issue_subscription_key(**doing, **asked)
        told = {**SubscriptionKeySerializer(bound).data, "secret": text}
        return entity_response(told, status=201)
