"""Routes of subscriptions, below /api/v1/."""

from django.urls import path

from catalog.api.subscription_acts import (
    SubscriptionCancellation,
    SubscriptionDowngrade,
    SubscriptionKeys,
    SubscriptionMigration,
    SubscriptionPause,
    SubscriptionReinstatement,
    SubscriptionResume,
    SubscriptionSuspension,
    SubscriptionTrialConversion,
    SubscriptionUpgrade,
    SubscriptionVersionMove,
)
from catalog.api.subscriptions import (
    SubscriptionDetail,
    SubscriptionPeriods,
    SubscriptionPhases,
    Subscriptions,
)

_ONE = "subscriptions/<uuid:id>"
routes = [
    path("subscriptions", Subscriptions.as_view()),
    path(_ONE, SubscriptionDetail.as_view()),
    path(f"{_ONE}/periods", SubscriptionPeriods.as_view()),
    path(f"{_ONE}/phases", SubscriptionPhases.as_view()),
    path(f"{_ONE}/keys", SubscriptionKeys.as_view()),
    path(f"{_ONE}/cancel", SubscriptionCancellation.as_view()),
    path(f"{_ONE}/pause", SubscriptionPause.as_view()),
    path(f"{_ONE}/resume", SubscriptionResume.as_view()),
    path(f"{_ONE}/suspend", SubscriptionSuspension.as_view()),
    path(f"{_ONE}/reinstate", SubscriptionReinstatement.as_view()),
    path(f"{_ONE}/upgrade", SubscriptionUpgrade.as_view()),
    path(f"{_ONE}/downgrade", SubscriptionDowngrade.as_view()),
    path(f"{_ONE}/migrate-with-proration", SubscriptionMigration.as_view()),
    path(f"{_ONE}/convert-trial", SubscriptionTrialConversion.as_view()),
    path(f"{_ONE}/move-to-version", SubscriptionVersionMove.as_view()),
]
