"""Verbs of the webhooks app."""
