"""Routes of dead letters."""

from django.urls import path

from metering.api import letters

LETTER_ROUTES = [
    path("api/v1/dead-letters", letters.DeadLetters.as_view()),
    path("api/v1/dead-letters/summary", letters.DeadLetterSummary.as_view()),
    path("api/v1/dead-letters/replay", letters.DeadLettersReplay.as_view()),
    path("api/v1/dead-letters/discard", letters.DeadLettersDiscard.as_view()),
    path("api/v1/dead-letters/create-unit", letters.UnitForLetters.as_view()),
    path("api/v1/dead-letters/decisions", letters.LetterDecisions.as_view()),
    path("api/v1/dead-letters/decisions/<uuid:id>", letters.LetterDecisionDetail.as_view()),
    path("api/v1/dead-letters/<uuid:id>", letters.DeadLetterDetail.as_view()),
    path("api/v1/dead-letters/<uuid:id>/replay", letters.DeadLetterReplay.as_view()),
    path("api/v1/dead-letters/<uuid:id>/discard", letters.DeadLetterDiscard.as_view()),
]
