"""A real afternoon of traffic, billed for five customers; the amounts were computed elsewhere."""

import csv
from decimal import Decimal
from pathlib import Path

import pytest

from billing.pipeline import run
from tests.billing.pipeline.build import facts, plan, usage_fact

TRACE = Path(__file__).parents[4] / "shared" / "data" / "azure_llm_inference_code_2023.csv"
INPUT = {
    "model": "GRADUATED",
    "tiers": [
        {"tierEnd": 1_000_000, "unitPrice": "0.000003"},
        {"tierEnd": 3_000_000, "unitPrice": "0.0000025"},
        {"tierEnd": -1, "unitPrice": "0.000002"},
    ],
}
OUTPUT = {"model": "PER_UNIT", "rate": "0.000015"}
REQUESTS = {"model": "INCLUDED_QUOTA", "includedFree": 1000, "blockSize": 100, "rate": "0.50"}

pytestmark = pytest.mark.skipif(not TRACE.exists(), reason="the trace is not part of the project")


def invoice(customer):
    """The draft of every fifth row, from `customer` on."""
    with TRACE.open(newline="") as rows:
        mine = [row for index, row in enumerate(csv.DictReader(rows)) if index % 5 == customer]
    sums = (sum(int(row[name]) for row in mine) for name in ("ContextTokens", "GeneratedTokens"))
    input_tokens, output_tokens = sums
    usage = [
        usage_fact(input_tokens, INPUT, unit="input_tokens", number=1),
        usage_fact(output_tokens, OUTPUT, unit="output_tokens", number=2),
        usage_fact(len(mine), REQUESTS, unit="requests", number=3),
    ]
    return run(facts(plan(name="Inference", base_fee=49), usage=usage)).draft


def test_the_first_customer_is_billed_line_by_line():
    amounts = [(line.description, line.amount.amount) for line in invoice(0).lines]
    assert amounts == [
        ("Inference: base fee", Decimal("49.00")),
        ("Inference: input_tokens", Decimal("9.37")),
        ("Inference: output_tokens", Decimal("0.70")),
        ("Inference: requests", Decimal("4.00")),
    ]


def test_five_customers_owe_what_was_computed_elsewhere():
    totals = [invoice(customer).total() for customer in range(5)]
    assert totals == [Decimal(due) for due in ("63.07", "62.86", "62.99", "62.69", "63.19")]
    assert sum(totals) == Decimal("314.80")
