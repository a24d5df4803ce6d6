"""Aforo: usage metering and billing that engineers trust with money."""

from aforo.celery import app as celery_app  # else tasks would be sent to Celery's default broker

__all__ = ["celery_app"]
