import pytest

from aforo.countries import is_country


@pytest.mark.parametrize("code", ["DE", "de", "US", "JP", "GB", "XK", "AX"])
def test_a_country_is_known_by_its_code(code):
    assert is_country(code)


@pytest.mark.parametrize("code", ["", "ZZ", "EU", "XA", "D", "DEU", "D1", "49", "001"])
def test_nothing_else_is_one(code):
    assert not is_country(code)
