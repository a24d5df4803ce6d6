import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering import proof

KEY = bytes.fromhex("0a1b2c3d" * 8)
EVENT = (
    7,
    1,
    UUID("00000000-0000-7000-8000-00000000000a"),
    UUID("00000000-0000-7000-8000-00000000000b"),
    UUID("00000000-0000-7000-8000-00000000000c"),
    UUID("00000000-0000-7000-8000-00000000000d"),
    "input_tokens",
    "trace-0-input_tokens",
    "374.5",
    "0.0011235",
    "0",
    1700156226479961,
    1700156226480000,
    False,
    "API",
    None,
    "",
    None,
    "4bf92f35",
    '{"model":"größe","a":[1,2]}',
    "API",
    UUID("00000000-0000-7000-8000-00000000000e"),
    0,
)
CANONICAL = (
    '[7,1,"00000000-0000-7000-8000-00000000000a","00000000-0000-7000-8000-00000000000b",'
    '"00000000-0000-7000-8000-00000000000c","00000000-0000-7000-8000-00000000000d",'
    '"input_tokens","trace-0-input_tokens","374.5","0.0011235","0",1700156226479961,'
    '1700156226480000,false,"API",null,"",null,"4bf92f35",'
    '"{\\"model\\":\\"größe\\",\\"a\\":[1,2]}","API",'
    '"00000000-0000-7000-8000-00000000000e",0]'
).encode()

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts
rows = st.lists(scalars, min_size=1, max_size=8).map(tuple)


def test_event_has_one_value_per_hashed_column():
    assert len(EVENT) == len(proof.HASHED_COLUMNS)


def test_canonical_bytes_are_these():
    assert proof.canonical(EVENT) == CANONICAL


@pytest.mark.parametrize(
    ("secret", "total", "key"),
    [
        (bytes(32), 1, "77d9db6b62ebf75ddf1127b1bfaa12cd3c59cb39b188a80a14bc0e6e75543366"),
        (
            bytes(range(32)),
            9_000_000_000,
            "d71bc4f4ed1afb787f518cf2cac6d590268adff3ec58d6321bfc137dcde42732",
        ),
    ],
)
def test_total_keys_are_these(secret, total, key):
    assert proof.total_key(secret, total).hex() == key


def test_event_hash_is_this():
    assert (
        proof.event_hash(KEY, CANONICAL).hex()
        == "7bfeb03f7bd1436888ba9c69c5147e188bb8de750c7f3368b6037940945a1b63"
    )


def test_chain_is_this():
    assert (
        proof.chain(proof.START, bytes(range(32))).hex()
        == "bb2275c49f28ad52cae6d55e34a974a58c7a3ba26f976e8ecbbe7a536918dc73"
    )


def test_digest_after_two_events_is_this():
    chain = proof.Chain(KEY)
    chain.append(CANONICAL)
    assert (
        chain.append(CANONICAL).hex()
        == "f65d80c328269a2a29506a68ecf90844b15ff53924136b3e0ed6f3cddcb300fa"
    )


def test_every_total_has_a_key_of_its_own():
    keys = {proof.total_key(bytes(32), number) for number in range(100)}
    assert len(keys) == 100


@given(rows)
def test_standard_library_makes_the_same_bytes(row):
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
    assert proof.canonical(row) == text.encode()


@given(rows, rows)
def test_different_rows_have_different_bytes(one, other):
    same = [(type(value), value) for value in one] == [(type(value), value) for value in other]
    assert (proof.canonical(one) == proof.canonical(other)) is same


@given(st.binary(min_size=32, max_size=32), st.lists(st.binary(max_size=100), max_size=5))
def test_chain_object_says_the_same_as_the_definition(key, events):
    chain = proof.Chain(key)
    digest = bytes(32)
    for event in events:
        hashed = hmac.new(key, event, hashlib.sha256).digest()
        digest = hashlib.sha256(digest + hashed).digest()
        assert chain.append(event) == digest
    assert chain.digest == digest


def test_chain_goes_on_from_any_digest():
    whole, first = proof.Chain(KEY), proof.Chain(KEY)
    for event in (b"a", b"b"):
        whole.append(event)
    rest = proof.Chain(KEY, first.append(b"a"))
    assert rest.append(b"b") == whole.digest


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 1, 1)))  # noqa: DTZ001 - made aware below
def test_microseconds_lose_nothing(moment):
    aware = moment.replace(tzinfo=UTC)
    count = proof.microseconds(aware)
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=count) == aware
