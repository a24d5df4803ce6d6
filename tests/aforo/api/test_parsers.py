"""JSON bodies: exact where they are good, refused where they would break something."""

from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aforo.api.parsers import MAX_DEPTH, decode
from aforo.errors import Refused, Unreadable


def test_numbers_keep_each_of_their_digits():
    assert decode(b'{"a": 0.1, "b": 1e-7, "c": 12345678901234567890, "d": 1.10}') == {
        "a": Decimal("0.1"),
        "b": Decimal("1E-7"),
        "c": 12345678901234567890,
        "d": Decimal("1.10"),
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  \n",
        b"{",
        b"{'a': 1}",
        b'{"a": NaN}',
        b"Infinity",
        b"-Infinity",
        b'"\xff"',
        rb'{"a": "\u0000"}',
        rb'{"a\u0000": 1}',
        rb'["\ud800"]',
        b"[" * 10_000 + b"]" * 10_000,
        b"[" * 10_000,
        b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
    ],
)
def test_what_is_not_sound_json_is_unreadable(body):
    with pytest.raises(Unreadable):
        decode(body)


@pytest.mark.parametrize(
    "number",
    [b"1e101", b"-1e999999999", b"1e-999999999", b"1e" + b"9" * 20, b"1" * 101, b"0." + b"1" * 101],
)
def test_numbers_beyond_reason_are_refused(number):
    with pytest.raises(Refused) as refusal:
        decode(b'{"a": [' + number + b"]}")
    assert refusal.value.code == "VALUE_OUT_OF_RANGE"


def test_depth_within_the_limit_is_fine():
    assert decode(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_body_breaks_it(body):
    with suppress(Unreadable, Refused):
        decode(body)
