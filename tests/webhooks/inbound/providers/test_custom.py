"""Senders without a scheme of their own."""

import base64
import hmac
from datetime import timedelta

import pytest
from django.http.request import HttpHeaders

from tests.factories import NOW
from tests.webhooks.inbound.providers.test_signatures import flipped
from webhooks.inbound.providers.custom import verify
from webhooks.inbound.signatures import BadSignature, Scheme, Signed, Stale, sign

SECRET = b"whsec_test"
BODY = b'{"customerId": "cust_1"}'


def check(signature, *, timestamp=None, body=BODY, **scheme):
    environ = {"HTTP_X_HUB_SIGNATURE_256": signature}
    if timestamp is not None:
        environ["HTTP_X_AFORO_TIMESTAMP"] = timestamp
    headers = HttpHeaders(environ)
    verify(Signed(body=body, headers=headers, url="", now=NOW, scheme=Scheme(**scheme)), SECRET)


def at(**away):
    return str(int((NOW + timedelta(**away)).timestamp()))


@pytest.mark.parametrize("spelled", ["{}", "sha256={}", " sha256={} "])
def test_hex_with_or_without_its_prefix(spelled):
    check(spelled.format(sign(SECRET, BODY)))
    check(spelled.format(sign(SECRET, BODY)).upper().replace("SHA256", "sha256"))


def test_base64_with_a_prefix_of_the_senders_own():
    digest = hmac.digest(SECRET, BODY, "sha256")
    signature = "v1," + base64.b64encode(digest).decode()
    check(signature, encoding="base64", prefix="v1,")
    with pytest.raises(BadSignature):
        check(signature, encoding="hex", prefix="v1,")
    for changed in flipped(signature.encode()):
        with pytest.raises(BadSignature):
            check(changed.decode("latin-1"), encoding="base64", prefix="v1,")


def test_no_bit_of_the_body_or_the_signature_can_be_changed():
    signature = sign(SECRET, BODY)
    for body in flipped(BODY):
        with pytest.raises(BadSignature):
            check(signature, body=body)
    for changed in flipped(signature.encode()):
        if changed.lower() == signature.encode():
            continue  # the same number, in capitals
        with pytest.raises(BadSignature):
            check(changed.decode("latin-1"))


@pytest.mark.parametrize(
    "signature", ["", "sha256=", "sha256=00", "é", sign(b"other", BODY), sign(SECRET, b"{}")]
)
def test_anything_else_is_refused(signature):
    with pytest.raises(BadSignature):
        check(signature)


@pytest.mark.parametrize("away", [{}, {"minutes": 5}, {"minutes": -5}])
def test_a_timestamp_of_about_now(away):
    check(sign(SECRET, BODY, timestamp=at(**away)), timestamp=at(**away), requires_timestamp=True)


@pytest.mark.parametrize("away", [{"minutes": 5, "seconds": 1}, {"minutes": -5, "seconds": -1}])
def test_a_push_of_another_time_is_stale(away):
    with pytest.raises(Stale):
        check(sign(SECRET, BODY, timestamp=at(**away)), timestamp=at(**away))


@pytest.mark.parametrize("timestamp", ["", "now", "-1", "1" * 13])
def test_a_timestamp_that_is_none_is_stale(timestamp):
    with pytest.raises(Stale):
        check(sign(SECRET, BODY, timestamp=timestamp), timestamp=timestamp)


def test_a_signed_timestamp_can_be_neither_changed_nor_dropped():
    signature = sign(SECRET, BODY, timestamp=at(minutes=-10))
    with pytest.raises(BadSignature):
        check(signature, timestamp=at())
    with pytest.raises(BadSignature):
        check(signature)


def test_a_signed_timestamp_cannot_move_from_its_header_into_the_body():
    """What is signed is the same text: a form would count a second time, days later."""
    form = b"id=&customerId=cust_1&metricName=calls&quantity=5"
    for old in (at(days=-1), "1", "1773572400000"):
        signature = sign(SECRET, form, timestamp=old)
        with pytest.raises(BadSignature):
            check(signature, body=f"{old}.".encode() + form)


def test_a_source_may_want_a_time_of_everybody():
    check(sign(SECRET, BODY))
    with pytest.raises(BadSignature):
        check(sign(SECRET, BODY), requires_timestamp=True)
