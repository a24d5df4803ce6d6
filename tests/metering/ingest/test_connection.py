"""What the hot path sends to PostgreSQL in its own binary form."""

import pytest
from django.db import ProgrammingError

from metering.ingest.connection import digests, hot_cursor, uuids


def asked(query, *parameters):
    with hot_cursor() as cursor:
        return cursor.execute(query, parameters).fetchone()


@pytest.mark.parametrize("count", [0, 1, 3, 5_000])
def test_packed_uuids_arrive_in_their_order(db, count):
    values = [number.to_bytes(16) for number in reversed(range(count))]
    (found,) = asked("SELECT %s::uuid[]", uuids(values))
    assert [value.bytes for value in found] == values


def test_packed_digests_arrive_in_their_order(db):
    values = [bytes([number]) * 32 for number in range(256)]
    (found,) = asked("SELECT %s::bytea[]", digests(values))
    assert found == values


def test_a_packed_array_is_taken_for_no_other_type(db):
    with pytest.raises(ProgrammingError):
        asked("SELECT %s::bytea[]", uuids([bytes(16)]))
