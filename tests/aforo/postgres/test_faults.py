"""Whose fault an error is."""

from celery.exceptions import SoftTimeLimitExceeded

from aforo.postgres.faults import is_of_the_server


def test_a_task_whose_time_is_up_goes_on_with_no_other_tenant():
    assert is_of_the_server(SoftTimeLimitExceeded())
    assert not is_of_the_server(ValueError("of the tenant"))
