from decimal import Decimal

import pytest

from aforo.errors import AforoError, Unreadable
from webhooks.inbound.documents import FORM, document_of

JSON = "application/json"


def document(body, kind=JSON, cut=()):
    return document_of(body, content_type=kind, cut=cut)


def test_json_is_kept_to_the_byte():
    assert document(b' {"a": 1.50} ')[0] == b' {"a": 1.50} '


def test_a_form_is_the_object_of_its_fields():
    body, value = document(b"a=1&b=x%26y&b=z&empty=", f"{FORM}; charset=UTF-8")
    assert value == {"a": "1", "b": ["x&y", "z"], "empty": ""}
    assert body == b'{"a":"1","b":["x&y","z"],"empty":""}'


def test_a_form_may_hold_json():
    assert document(b"payload=%7B%22a%22%3A1%7D", FORM)[1] == {"a": 1}


def test_credentials_of_a_provider_are_cut():
    assert document(b'{"token": "t", "a": 1.50}', cut=("token",)) == (
        b'{"a":1.50}',
        {"a": Decimal("1.50")},
    )


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"\x00", b"[1,]"])
def test_what_is_no_json_is_unreadable(body):
    with pytest.raises(AforoError):
        document(body)


def test_a_form_that_is_none_is_unreadable():
    with pytest.raises(Unreadable):
        document(b"a=\xff", FORM)
    with pytest.raises(Unreadable):
        document(b"&".join([b"a=1"] * 1_001), FORM)
