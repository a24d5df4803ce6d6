"""Settle: final at once, or a draft."""

import pytest

from billing.pipeline.settle import settle_invoice
from tests.billing.pipeline.build import facts, spent


@pytest.mark.parametrize(
    ("auto_finalize", "note"), [(True, "to be issued at once"), (False, "kept as a draft")]
)
def test_the_run_says_whether_an_invoice_becomes_final(auto_finalize, note):
    given = facts(auto_finalize=auto_finalize)
    after = settle_invoice(spent(given, "5"), given)
    assert after.finalize is auto_finalize
    assert after.notes == (f"no wallet drawn from; {note}",)
