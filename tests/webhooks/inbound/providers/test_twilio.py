"""Twilio signs the names and values of a form one after the other, without anything between."""

from urllib.parse import urlencode

import pytest
from twilio.request_validator import RequestValidator

from tests.factories import NOW
from tests.webhooks.inbound.providers import signers
from webhooks.inbound.mapping import Headers, Reading, made_of
from webhooks.inbound.providers.twilio import TWILIO, verify
from webhooks.inbound.rules import Rule
from webhooks.inbound.signatures import BadSignature, Signed

SID = "SM" + "0a" * 16
FIELDS = {
    "AccountSid": "AC" + "01" * 16,
    "MessageSid": SID,
    "MessageStatus": "delivered",
    "SmsSid": SID,
    "SmsStatus": "delivered",
    "To": "+1",
}
ANY = Reading("s", provider=TWILIO, rules=(Rule(customer="$.AccountSid", metric="sent"),))
KEY = f"webhook:s:{SID}:message.delivered:sent"


def check(body, signature):
    headers = {"Content-Type": signers.FORM, "X-Twilio-Signature": signature}
    verify(Signed(body=body, headers=headers, url=signers.ADDRESS, now=NOW), b"token")


def keys_of(payload):
    return [event["idempotencyKey"] for event in made_of(payload, ANY, Headers()).events]


def shifted(**changes):
    """The fields with some of them cut elsewhere; None takes one out."""
    return {name: value for name, value in (FIELDS | changes).items() if value is not None}


@pytest.mark.parametrize(
    "forged",
    [
        shifted(MessageSid=f"{SID}MessageStatusdelivered", MessageStatus=None),
        shifted(
            MessageStatus=f"deliveredSmsSid{SID}SmsStatusdelivered", SmsSid=None, SmsStatus=None
        ),
        shifted(
            MessageStatus="deliver",
            SmsSid=None,
            SmsStatus=None,
            To=None,
            edSmsSid=f"{SID}SmsStatusdeliveredTo+1",
        ),
        shifted(
            AccountSid=f"{FIELDS['AccountSid']}MessageSid{SID}",
            MessageSid=None,
            SmsSid=None,
            SmsStatus=None,
            SmsS="",
            To=None,
            id=f"{SID}SmsStatusdeliveredTo+1",
        ),
        shifted(
            AccountSid=None,
            AccountSidAC="01" * 16,
            MessageStatus=None,
            MessageStatusdelivered="",
            SmsStatus=None,
            SmsStatusd="elivered",
        ),
    ],
    ids=["sid", "status", "shorter status", "id", "no status"],
)
def test_a_form_that_is_cut_elsewhere_has_the_signature_and_makes_no_event(forged):
    signature = signers.twilio(FIELDS, secret="token").headers["X-Twilio-Signature"]
    check(urlencode(forged).encode(), signature)
    made = made_of(forged, ANY, Headers())
    assert made.events == ()
    assert "sid" in made.why.detail


def test_an_altered_form_that_still_makes_an_event_is_the_same_event():
    assert keys_of(FIELDS) == [KEY]
    assert keys_of(shifted(MessageStatus=None, MessageStatusdelivered="")) == [KEY]
    assert keys_of(shifted(To=None, T="o+1")) == [KEY]


def test_a_call_and_an_event_of_a_stream_have_their_own_ids():
    call = {"AccountSid": "AC1", "CallSid": "CA" + "f" * 32, "CallStatus": "no-answer"}
    assert keys_of(call) == [f"webhook:s:CA{'f' * 32}:call.no-answer:sent"]
    stream = {"id": "EZ1", "type": "sent", "AccountSid": "AC1", "data": {}}
    assert keys_of(stream) == ["webhook:s:EZ1:sent"]


@pytest.mark.parametrize(
    "fields",
    [{f"F{number}": "" for number in range(1_001)}, {"Body": "A" * 1024 * 1024}],
    ids=["fields", "bytes"],
)
def test_a_form_of_more_than_is_read_is_a_wrong_signature(fields):
    """It would take seconds to find that out by its signature."""
    signature = RequestValidator("token").compute_signature(signers.ADDRESS, fields)
    with pytest.raises(BadSignature):
        check(urlencode(fields).encode(), signature)
