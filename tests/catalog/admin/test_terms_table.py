"""Terms as form fields: what is typed is what is stored, whatever the model."""

import pytest
from django.core.exceptions import ValidationError
from django.http import QueryDict

from catalog.admin.terms_table import TermsField, TermsTable
from catalog.pricing import parse_terms

TIERS = {"end": ["1000", ""], "price": ["0.01", "0.005"], "fee": ["", "2"]}


def typed(model, **fields):
    """What the browser sends of a form field called `terms`."""
    data = QueryDict(mutable=True)
    data["terms-model"] = model
    for key, value in fields.items():
        data.setlist(f"terms-{key}", value if isinstance(value, list) else [value])
    return TermsTable().value_from_datadict(data, {}, "terms")


CASES = [
    ("PER_UNIT", {"rate": "0.01", "includedFree": "100"}, {"rate": "0.01", "includedFree": "100"}),
    ("PER_UNIT", {"rate": " 0.01 ", "flatRate": "9"}, {"rate": "0.01"}),
    ("FLAT_RATE", {"flatRate": "5"}, {"flatRate": "5"}),
    ("PERCENTAGE", {"ratePercent": "2.9", "minFee": "1"}, {"ratePercent": "2.9", "minFee": "1"}),
    (
        "INCLUDED_QUOTA",
        {"includedFree": "10", "rate": "1", "ovBehavior": "BLOCK"},
        {"includedFree": "10", "rate": "1", "ovBehavior": "BLOCK"},
    ),
    (
        "GRADUATED",
        TIERS | {"billZeroTier": "on"},
        {
            "billZeroTier": True,
            "tiers": [
                {"tierEnd": "1000", "unitPrice": "0.01"},
                {"tierEnd": "-1", "unitPrice": "0.005", "flatFee": "2"},
            ],
        },
    ),
    (
        "VOLUME_TIERED",
        {"end": ["5", "", ""], "price": ["2", "1", ""], "fee": ["", "", ""]},
        {"tiers": [{"tierEnd": "5", "unitPrice": "2"}, {"tierEnd": "-1", "unitPrice": "1"}]},
    ),
    (
        "GRADUATED_PERCENTAGE",
        {"end": [""], "price": ["2.5"], "fee": ["1"]},
        {"tiers": [{"tierEnd": "-1", "ratePercent": "2.5", "flatFee": "1"}]},
    ),
    (
        "STAIRSTEP",
        {"end": ["10", "20"], "price": ["5", "8"], "fee": ["", ""], "overageRate": "1"},
        {
            "steps": [{"tierEnd": "10", "price": "5"}, {"tierEnd": "20", "price": "8"}],
            "overageRate": "1",
        },
    ),
    (
        "MATRIX",
        {
            "dimension": ["model", "region", ""],
            "value1": ["large", ""],
            "value2": ["eu", ""],
            "value3": ["", ""],
            "cellRate": ["3", ""],
            "defaultRate": "1",
        },
        {
            "dimensions": ["model", "region"],
            "cells": [{"values": {"model": "large", "region": "eu"}, "rate": "3"}],
            "defaultRate": "1",
        },
    ),
    (
        "DYNAMIC",
        {"amountField": "price", "markupPercent": "10"},
        {"amountField": "price", "markupPercent": "10"},
    ),
]


@pytest.mark.parametrize(("model", "fields", "terms"), CASES, ids=lambda case: str(case)[:20])
def test_what_is_typed_is_what_is_agreed(model, fields, terms):
    expected = parse_terms({"model": model} | terms).as_dict()
    assert TermsField().clean(typed(model, **fields)) == expected


@pytest.mark.parametrize(("model", "fields", "terms"), CASES, ids=lambda case: str(case)[:20])
def test_what_is_stored_stands_in_the_fields(model, fields, terms):
    stored = parse_terms({"model": model} | terms).as_dict()
    page = TermsTable().render("terms", stored, {"id": "id_terms"})
    assert f'<option value="{model}" selected>' in page
    for values in fields.values():
        for value in values if isinstance(values, list) else [values]:
            assert not value.strip() or value in {"9", "on"} or f'value="{value.strip()}"' in page


def test_no_model_is_no_terms():
    assert typed("") is None
    assert TermsField(required=False).clean(None) is None
    assert TermsTable().value_omitted_from_data({}, {}, "terms")


@pytest.mark.parametrize(
    ("model", "fields", "said"),
    [
        (
            "GRADUATED",
            TIERS | {"price": ["0.01", "much"]},
            "tier 2, price per unit: must be a number",
        ),
        ("GRADUATED", {"end": ["", ""], "price": ["1", "2"], "fee": ["", ""]}, "tier"),
        ("PER_UNIT", {"rate": "-1"}, "Rate per unit, or per block: must not be negative"),
        ("PER_UNIT", {}, "Rate per unit, or per block: is required"),
    ],
)
def test_an_error_names_the_row_and_the_field(model, fields, said):
    with pytest.raises(ValidationError, match=said):
        TermsField().clean(typed(model, **fields))


def test_terms_that_say_the_same_are_no_change():
    field = TermsField(required=False)
    stored = parse_terms({"model": "PER_UNIT", "rate": "0.01"}).as_dict()
    assert not field.has_changed(stored, typed("PER_UNIT", rate="0.010"))
    assert field.has_changed(stored, typed("PER_UNIT", rate="0.02"))
    assert field.has_changed(stored, typed("PER_UNIT", rate="much"))
    assert field.has_changed(stored, None)
    assert not field.has_changed(None, None)
