"""What a service refuses is said on the form again: beside the field that it names."""

import pytest
from django import forms

from aforo.errors import FieldError, Refused
from aforo.tenancy.admin_base import _refusing

TOO_MUCH = FieldError("discountValue", "TOO_MUCH", "is above 100")
ELSEWHERE = FieldError("prices[0].terms", "INVALID", "must be whole")


class Asking(forms.Form):
    discount_value = forms.CharField()


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        ((TOO_MUCH,), {"discount_value": ["is above 100"]}),
        ((ELSEWHERE,), {"__all__": ["it cannot be"]}),
        ((), {"__all__": ["it cannot be"]}),
        (
            (TOO_MUCH, ELSEWHERE),
            {"discount_value": ["is above 100"], "__all__": ["it cannot be"]},
        ),
    ],
)
def test_a_refusal_stands_beside_the_field_that_it_names(errors, said):
    form = _refusing(Asking, Refused("it cannot be", errors=errors))({"discount_value": "110"})
    assert form.errors == said
