"""SendGrid: ECDSA on P-256 over the time and the body; the secret of a source is its public key."""

import base64
import binascii
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from webhooks.inbound.providers.provider import Payload, Provider, text_in
from webhooks.inbound.rules import Rule
from webhooks.inbound.signatures import BadSignature, Scheme, Signed, require_fresh

HEADER = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP_HEADER = "X-Twilio-Email-Event-Webhook-Timestamp"
_WHOSE = "$.customer_id"  # a custom argument that the seller gives each mail along
_ABOUT = {"message": "$.sg_message_id"}


def verify(signed: Signed, secret: bytes) -> None:
    timestamp = signed.headers.get(TIMESTAMP_HEADER, "")
    signature = _bytes_of(signed.headers.get(HEADER, ""))
    text = timestamp.encode(errors="replace") + signed.body
    try:
        _key(secret).verify(signature, text, ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        raise BadSignature("the signature does not fit the body") from None
    require_fresh(timestamp, now=signed.now)


def check_key(secret: str) -> None:
    """Raise ValueError for what is no public key as SendGrid shows it: base64 of DER, on P-256."""
    _key(secret.encode())


@lru_cache(maxsize=1_000)
def _key(secret: bytes) -> ec.EllipticCurvePublicKey:
    lines = [line for line in secret.splitlines() if not line.startswith(b"-----")]
    try:
        key = load_der_public_key(base64.b64decode(b"".join(lines), validate=True))
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("this is no public key in base64") from None
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise ValueError("this is no public key on the curve P-256")


def _bytes_of(signature: str) -> bytes:
    """The bytes of a signature; what base64 would overlook is refused."""
    try:
        read = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        read = b""
    if not read or base64.b64encode(read).decode() != signature:
        raise BadSignature(f"{HEADER} is absent or no base64")
    return read


def event_type(payload: Payload, _header: str) -> str:
    return text_in(payload, "event")


def event_id(payload: Payload) -> str:
    return text_in(payload, "sg_event_id")


SENDGRID = Provider(
    verify=verify,
    event_type=event_type,
    event_id=event_id,
    signature_header=HEADER,
    algorithm="ecdsa-p256-sha256",
    scheme=Scheme(HEADER, encoding="base64", prefix="", requires_timestamp=True),
    dictates_secret=True,
    check_secret=check_key,
    rules=tuple(
        Rule(
            event_types=(kind,),
            customer=_WHOSE,
            metric=f"sendgrid_{kind}",
            occurred_at="$.timestamp",
            metadata=_ABOUT,
        )
        for kind in ("processed", "delivered", "open", "click")
    ),
)
