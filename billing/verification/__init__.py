"""Proving an invoice: from its events to its total, step by step, each true or broken by name."""

from billing.verification.invoice import Verification, verify_invoice
from billing.verification.steps import Step

__all__ = ["Step", "Verification", "verify_invoice"]
