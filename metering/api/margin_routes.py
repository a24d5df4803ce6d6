"""Routes of what usage costs and what it leaves."""

from django.urls import path

from metering.api.margin import MarginsView
from metering.api.rate_cards import RateCardDetail, RateCards

MARGIN_ROUTES = [
    path("api/v1/margin", MarginsView.as_view()),
    path("api/v1/rate-cards", RateCards.as_view()),
    path("api/v1/rate-cards/<uuid:id>", RateCardDetail.as_view()),
]
