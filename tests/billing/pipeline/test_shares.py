from decimal import Decimal

from billing.pipeline.shares import Share


def test_a_share_is_named_without_decimals_that_say_nothing():
    share = Share(Decimal("2671200.000000"), Decimal("2674800.000000"), "seconds")
    assert share.clause == ", prorated to 2,671,200 of 2,674,800 seconds"


def test_a_share_is_named_with_the_fraction_of_a_second_that_it_has():
    share = Share(Decimal("0.250000"), Decimal("2674800.500000"), "seconds")
    assert share.clause == ", prorated to 0.25 of 2,674,800.5 seconds"
