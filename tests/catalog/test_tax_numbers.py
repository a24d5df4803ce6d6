import pytest

from aforo.errors import Refused
from billing.pipeline.tax_table import EU
from catalog.tax_numbers import EU_COUNTRIES, checked_tax_number, valid_vat_number


@pytest.mark.parametrize(
    ("country", "given", "spelt"),
    [
        ("DE", "de 136 695 976", "DE136695976"),
        ("DE", "136695976", "DE136695976"),
        ("de", "136695976", "DE136695976"),
        ("GR", "EL 094259216", "EL094259216"),
        ("GR", "GR094259216", "EL094259216"),
        ("AT", "U13585627", "ATU13585627"),
        ("ES", "ES 54362315-K", "ES54362315K"),
        ("BE", "BE 403 019 261", "BE0403019261"),
        ("IE", "IE 6433435F", "IE6433435F"),
        ("NL", "NL4495445B01", "NL004495445B01"),
        ("SE", "SE 123456789701", "SE123456789701"),
        ("DE", "  ", ""),
    ],
)
def test_a_number_of_the_union_is_spelt_in_one_way(country, given, spelt):
    assert checked_tax_number(country, given) == spelt
    assert checked_tax_number(country, spelt) == spelt


@pytest.mark.parametrize(
    ("country", "given"), [("DE", "DE136695975"), ("DE", "FR40303265045"), ("FR", "none")]
)
def test_what_is_no_number_of_its_country_is_refused_by_name(country, given):
    with pytest.raises(Refused) as refusal:
        checked_tax_number(country, given)
    (fault,) = refusal.value.errors
    assert (fault.field, fault.code) == ("taxNumber", "INVALID")
    assert fault.message == f"'{given}' is no VAT number of {country}"
    assert valid_vat_number(country, given) == ""


@pytest.mark.parametrize(("country", "given"), [("US", "12-3456789"), ("", "DE1"), ("GB", "GB 1")])
def test_outside_the_union_a_number_is_kept_as_given(country, given):
    assert checked_tax_number(country, given) == given
    assert valid_vat_number(country, given) == ""


def test_the_table_and_the_numbers_know_the_same_members():
    assert EU == EU_COUNTRIES
