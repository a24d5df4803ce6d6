from datetime import timedelta

import pytest

from tests.factories import NOW
from webhooks.inbound.signatures import BadSignature, Stale, sign, verify

SECRET = b"whsec_test"
BODY = b'{"customerId": "cust_1"}'


def check(signature, *, timestamp=None, body=BODY):
    verify(body, signature=signature, timestamp=timestamp, secret=SECRET, now=NOW)


def at(**away):
    return str(int((NOW + timedelta(**away)).timestamp()))


def test_a_known_signature():
    assert sign(b"It's a Secret to Everybody", b"Hello, World!") == (
        "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    )


@pytest.mark.parametrize("spelled", ["{}", "sha256={}", " sha256={} "])
def test_hex_with_or_without_its_prefix(spelled):
    check(spelled.format(sign(SECRET, BODY)))
    check(spelled.format(sign(SECRET, BODY)).upper().replace("SHA256", "sha256"))


@pytest.mark.parametrize(
    "signature", ["", "sha256=", "sha256=00", "é", sign(b"other", BODY), sign(SECRET, b"{}")]
)
def test_anything_else_is_refused(signature):
    with pytest.raises(BadSignature):
        check(signature)


@pytest.mark.parametrize("away", [{}, {"minutes": 5}, {"minutes": -5}])
def test_a_timestamp_of_about_now(away):
    check(sign(SECRET, BODY, timestamp=at(**away)), timestamp=at(**away))


@pytest.mark.parametrize("away", [{"minutes": 5, "seconds": 1}, {"minutes": -5, "seconds": -1}])
def test_a_push_of_another_time_is_stale(away):
    with pytest.raises(Stale):
        check(sign(SECRET, BODY, timestamp=at(**away)), timestamp=at(**away))


@pytest.mark.parametrize("timestamp", ["", "now", "-1", "1" * 13, "\u0661"])
def test_a_timestamp_that_is_none_is_stale(timestamp):
    with pytest.raises(Stale):
        check(sign(SECRET, BODY, timestamp=timestamp), timestamp=timestamp)


def test_a_signed_timestamp_can_be_neither_changed_nor_dropped():
    signature = sign(SECRET, BODY, timestamp=at(minutes=-10))
    with pytest.raises(BadSignature):
        check(signature, timestamp=at())
    with pytest.raises(BadSignature):
        check(signature)
