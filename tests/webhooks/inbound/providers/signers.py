"""Pushes as the providers themselves sign them: by their own libraries, wherever those can."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from urllib.parse import urlencode

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.http import QueryDict
from sendgrid.helpers.eventwebhook import EventWebhook
from slack_sdk.signature import SignatureVerifier
from stripe import WebhookSignature
from twilio.request_validator import RequestValidator

FORM = "application/x-www-form-urlencoded; charset=UTF-8"
JSON = "application/json"
ADDRESS = "https://meters.example.com/v1/ingest/webhook/0197a0c2-1f00-7a22-b5b1-0a1b2c3d4e5f"


@dataclass(frozen=True)
class SignedPush:
    """What goes over the wire, and the secret that a source needs to believe it."""

    body: bytes
    headers: dict[str, str]
    secret: str
    query: str = ""
    content_type: str = JSON
    signature_header: str = ""
    timestamp_header: str = ""

    @property
    def all_headers(self):
        return self.headers | {"Content-Type": self.content_type}


def stripe(body, *, at, secret="whsec_stripe_0123456789"):
    header = WebhookSignature.generate_signature_header(body.decode(), secret, timestamp=at)
    assert WebhookSignature.verify_header(body, header, secret)
    return SignedPush(
        body, {"Stripe-Signature": header}, secret, signature_header="Stripe-Signature"
    )


def slack(body, *, at, secret="8f742231b10e8888abcd99yyyzzz85a5", content_type=JSON):
    signature = SignatureVerifier(secret).generate_signature(timestamp=str(at), body=body)
    return SignedPush(
        body,
        {"X-Slack-Signature": signature, "X-Slack-Request-Timestamp": str(at)},
        secret,
        content_type=content_type,
        signature_header="X-Slack-Signature",
        timestamp_header="X-Slack-Request-Timestamp",
    )


def github(body, *, at=None, secret="It's a Secret to Everybody", event="push"):
    """GitHub has no library for Python; it publishes a secret, a body and their signature."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": f"sha256={digest}", "X-GitHub-Event": event}
    return SignedPush(body, headers, secret, signature_header="X-Hub-Signature-256")


def twilio(
    fields, *, at=None, secret="12345678901234567890123456789012", address=ADDRESS, algorithm=None
):
    """A form, if `fields` is an object; the JSON of an event stream, if it is a list."""
    if isinstance(fields, dict):
        body = urlencode(fields, doseq=True).encode()
        decoded = QueryDict(body)
        signature = RequestValidator(secret).compute_signature(address, decoded, algorithm)
        assert RequestValidator(secret).validate(address, decoded, signature, algorithm)
        return _twilio(body, signature, secret, FORM)
    body = json.dumps(fields).encode()
    query = f"bodySHA256={hashlib.sha256(body).hexdigest()}"
    signature = RequestValidator(secret).compute_signature(f"{address}?{query}", {})
    assert RequestValidator(secret).validate(f"{address}?{query}", body.decode(), signature)
    return _twilio(body, signature, secret, JSON, query)


def _twilio(body, signature, secret, content_type, query=""):
    headers = {"X-Twilio-Signature": signature}
    return SignedPush(
        body, headers, secret, query, content_type, signature_header="X-Twilio-Signature"
    )


def _public(key):
    """As SendGrid shows it."""
    raw = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(raw).decode()


_KEY = ec.generate_private_key(ec.SECP256R1())
SENDGRID_KEY = _public(_KEY)
OTHER_KEY = _public(ec.generate_private_key(ec.SECP256R1()))


def sendgrid(body, *, at):
    """Their library only verifies; the key pair is one of ours."""
    signature = base64.b64encode(_KEY.sign(f"{at}".encode() + body, ec.ECDSA(SHA256()))).decode()
    assert EventWebhook(SENDGRID_KEY).verify_signature(body.decode(), signature, str(at))
    return SignedPush(
        body,
        {
            "X-Twilio-Email-Event-Webhook-Signature": signature,
            "X-Twilio-Email-Event-Webhook-Timestamp": str(at),
        },
        SENDGRID_KEY,
        signature_header="X-Twilio-Email-Event-Webhook-Signature",
        timestamp_header="X-Twilio-Email-Event-Webhook-Timestamp",
    )
