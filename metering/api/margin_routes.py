"""Routes of what usage costs, what it leaves, and who guards that."""

from django.urls import path

from metering.api.guards import (
    CustomerTagging,
    GuardDecisions,
    GuardDetail,
    GuardPreview,
    Guards,
    MarginStates,
)
from metering.api.margin import MarginsView
from metering.api.rate_cards import RateCardDetail, RateCards

MARGIN_ROUTES = [
    path("api/v1/margin", MarginsView.as_view()),
    path("api/v1/rate-cards", RateCards.as_view()),
    path("api/v1/rate-cards/<uuid:id>", RateCardDetail.as_view()),
    path("api/v1/margin-guards", Guards.as_view()),
    path("api/v1/margin-guards/preview", GuardPreview.as_view()),
    path("api/v1/margin-guards/<uuid:id>", GuardDetail.as_view()),
    path("api/v1/margin-states", MarginStates.as_view()),
    path("api/v1/margin-decisions", GuardDecisions.as_view()),
    path("api/v1/customers/<uuid:id>/tags", CustomerTagging.as_view()),
]
