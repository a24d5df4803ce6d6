"""What the providers' own libraries sign is believed; any bit of it changed is not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import pytest
from django.http.request import HttpHeaders

from tests.webhooks.inbound.providers import signers
from webhooks.inbound.providers import PROVIDERS
from webhooks.inbound.providers.sendgrid import check_key
from webhooks.inbound.signatures import BadSignature, Signed, Stale

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
AT = int(NOW.timestamp())
BODY = '{"id":"evt_1","type":"charge.succeeded","note":"ünïcode"}'.encode()
FIELDS = {"MessageSid": "SM1", "MessageStatus": "delivered", "Body": "a+b &c=ü", "To": "", "A": "x"}
STREAM = [{"specversion": "1.0", "type": "com.twilio.messaging.message.delivered", "id": "EZ1"}]
PUSHES = {
    "STRIPE": signers.stripe(BODY, at=AT),
    "SLACK": signers.slack(BODY, at=AT),
    "GITHUB": signers.github(BODY),
    "SENDGRID": signers.sendgrid(b"[" + BODY + b"]\r\n", at=AT),
    "TWILIO": signers.twilio(FIELDS),
    "TWILIO JSON": signers.twilio(STREAM),
}


def check(name, push, *, now=NOW, address=signers.ADDRESS, secret=None):
    """As the door does; headers are found however they are spelled."""
    environ = {f"HTTP_{key.upper().replace('-', '_')}": one for key, one in push.headers.items()}
    headers = HttpHeaders(environ | {"CONTENT_TYPE": push.content_type})
    url = f"{address}?{push.query}" if push.query else address
    signed = Signed(body=push.body, headers=headers, url=url, now=now)
    PROVIDERS[name.split()[0]].verify(signed, (secret or push.secret).encode())


def flipped(raw):
    """`raw` with each of its bits changed, one at a time."""
    for place in range(len(raw)):
        for bit in range(8):
            yield raw[:place] + bytes([raw[place] ^ (1 << bit)]) + raw[place + 1 :]


@pytest.mark.parametrize("name", PUSHES)
def test_what_a_provider_signs_is_believed(name):
    check(name, PUSHES[name])


@pytest.mark.parametrize("name", PUSHES)
def test_no_bit_of_the_body_can_be_changed(name):
    push = PUSHES[name]
    for body in flipped(push.body):
        if "form" in push.content_type and says_the_same(body, push.body):
            continue  # %2b and %2B: Twilio signs fields, not bytes
        with pytest.raises(BadSignature):
            check(name, replace(push, body=body))


def says_the_same(one, other):
    try:
        return parse_qsl(one.decode(), True) == parse_qsl(other.decode(), True)
    except ValueError:
        return False


@pytest.mark.parametrize("name", PUSHES)
def test_no_bit_of_the_signature_or_its_time_can_be_changed(name):
    push = PUSHES[name]
    for header in filter(None, (push.signature_header, push.timestamp_header)):
        for value in flipped(push.headers[header].encode()):
            headers = push.headers | {header: value.decode("latin-1")}
            with pytest.raises((BadSignature, Stale)):
                check(name, replace(push, headers=headers))


@pytest.mark.parametrize("name", PUSHES)
def test_without_its_headers_or_with_another_secret_nothing_is_believed(name):
    push = PUSHES[name]
    with pytest.raises(BadSignature):
        check(name, replace(push, headers={}))
    with pytest.raises(BadSignature):
        check(name, push, secret=signers.OTHER_KEY)


@pytest.mark.parametrize("name", ["STRIPE", "SLACK", "SENDGRID"])
@pytest.mark.parametrize("away", [-301, 301, 86_400])
def test_a_push_of_another_time_is_stale(name, away):
    with pytest.raises(Stale):
        check(name, PUSHES[name], now=NOW + timedelta(seconds=away))
    check(name, PUSHES[name], now=NOW + timedelta(seconds=300))


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("STRIPE", "stripe.WebhookSignature.verify_header"),
        ("SLACK", "slack_sdk.signature.SignatureVerifier.is_valid"),
        ("TWILIO", "twilio.request_validator.RequestValidator.validate"),
        ("TWILIO JSON", "twilio.request_validator.RequestValidator.validate"),
    ],
)
def test_the_library_of_the_provider_has_the_last_word(name, library, monkeypatch):
    def refuse(*args, **kwargs):
        raise ValueError

    monkeypatch.setattr(library, refuse)
    with pytest.raises(BadSignature):
        check(name, PUSHES[name])


def test_no_clock_but_ours_is_asked():
    """The libraries themselves would call what was signed in 2001 stale."""
    then = datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)
    for name, signer in (("STRIPE", signers.stripe), ("SLACK", signers.slack)):
        check(name, signer(BODY, at=1_000_000_000), now=then)


@pytest.mark.parametrize("name", PUSHES)
@pytest.mark.parametrize("value", ["\udcff", "²", "t=²,v1=é", "t=,v1=", "v1", "=", " "])
def test_what_no_provider_would_write_is_a_wrong_signature_and_no_error(name, value):
    push = PUSHES[name]
    for header in filter(None, (push.signature_header, push.timestamp_header)):
        with pytest.raises(BadSignature):
            check(name, replace(push, headers=push.headers | {header: value}))
    with pytest.raises(BadSignature):
        check(name, replace(push, body=b"\xff\xfe" + push.body))


@pytest.mark.parametrize("spelling", ["+{}", "0{}", " {}", "{}_0"])
def test_a_time_of_stripe_is_spelled_in_one_way(spelling):
    header = PUSHES["STRIPE"].headers["Stripe-Signature"]
    other = header.replace(str(AT), spelling.format(AT))
    with pytest.raises(BadSignature):
        check("STRIPE", replace(PUSHES["STRIPE"], headers={"Stripe-Signature": other}))


def test_twilio_signs_each_value_of_a_field_and_may_sign_by_sha256():
    many = signers.twilio({"MediaUrl": ["b", "a", "b"], "MessageSid": "SM1"})
    check("TWILIO", many)
    with pytest.raises(BadSignature):
        check("TWILIO", replace(many, body=many.body.replace(b"=a", b"=c")))

    said = {"X-Twilio-Webhooks-Signature-Settings": "key=k,algorithm=HMAC_SHA256"}
    strong = signers.twilio(FIELDS, algorithm="HMAC_SHA256")
    check("TWILIO", replace(strong, headers=strong.headers | said))
    for headers in (strong.headers, PUSHES["TWILIO"].headers | said):
        with pytest.raises(BadSignature):
            check("TWILIO", replace(strong, headers=headers))


def test_while_stripe_rolls_over_any_of_its_signatures_will_do():
    push = PUSHES["STRIPE"]
    first, _, good = push.headers["Stripe-Signature"].partition(",")
    many = f"{first},v1={'0' * 64},{good},v0=old"
    check("STRIPE", replace(push, headers={"Stripe-Signature": many}))
    two_times = f"t=1,{push.headers['Stripe-Signature']}"
    with pytest.raises(BadSignature):
        check("STRIPE", replace(push, headers={"Stripe-Signature": two_times}))


@pytest.mark.parametrize("name", ["TWILIO", "TWILIO JSON"])
def test_twilio_signs_the_address_with_its_port_or_without(name):
    check(name, PUSHES[name], address=signers.ADDRESS.replace(".com/", ".com:443/"))
    with pytest.raises(BadSignature):
        check(name, PUSHES[name], address=signers.ADDRESS.replace("meters", "others"))
    with pytest.raises(BadSignature):
        check(name, PUSHES[name], address=signers.ADDRESS.replace("https", "http"))


def test_a_body_of_twilio_that_is_no_form_needs_its_hash_in_the_address():
    form, stream = PUSHES["TWILIO"], PUSHES["TWILIO JSON"]
    with pytest.raises(BadSignature):
        check("TWILIO", replace(form, content_type="application/json"))
    with pytest.raises(BadSignature):
        check("TWILIO", replace(stream, query=""))


def test_github_signs_as_it_publishes():
    header = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    push = signers.github(b"Hello, World!")
    assert push.headers["X-Hub-Signature-256"] == header
    check("GITHUB", push)


@pytest.mark.parametrize("key", ["", "no key", "AAAA", signers.SENDGRID_KEY[:-8]])
def test_what_is_no_key_of_sendgrid_is_refused(key):
    with pytest.raises(ValueError, match="public key"):
        check_key(key)


def test_a_key_of_sendgrid_may_come_with_its_frame():
    framed = f"-----BEGIN PUBLIC KEY-----\n{signers.SENDGRID_KEY}\n-----END PUBLIC KEY-----\n"
    check("SENDGRID", PUSHES["SENDGRID"], secret=framed)
