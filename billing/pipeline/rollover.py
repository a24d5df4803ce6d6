"""Rollover: unused included units of earlier periods. No plan can grant them yet."""

from billing.pipeline.draft import Draft
from billing.pipeline.facts import Facts


def add_rollover(draft: Draft, _: Facts) -> Draft:
    """Pass the draft through and say so. Units granted here will raise a hard cap as well."""
    return draft.noting("no rollover terms on this plan")
