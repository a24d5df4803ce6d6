"""What there is to know of one who pushes: how it signs, and what its payloads say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from webhooks.inbound.rules import Rule
from webhooks.inbound.signatures import Scheme, Signed

Payload = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Provider:
    """One who pushes. `event_id` is "" where a payload has none that its signature covers.

    `verify(signed, secret)` raises BadSignature or Stale; `type_header` names the header that
    says what kind of event it is, where the payload does not.
    """

    verify: Callable[[Signed, bytes], None]
    event_type: Callable[[Payload, str], str]
    event_id: Callable[[Payload], str]
    signature_header: str
    algorithm: str = "hmac-sha256"
    scheme: Scheme | None = None  # as it signs; None: as a source says itself
    type_header: str = ""
    dictates_secret: bool = False  # it draws the secret, and we are told
    needs_id: str = ""  # what `event_id` is made of, where no hash of a payload could stand in
    check_secret: Callable[[str], None] = lambda _secret: None  # raises ValueError
    credentials: tuple[str, ...] = ()  # members of a payload that are kept nowhere
    rules: tuple[Rule, ...] = ()


def text_in(payload: Payload, *names: str) -> str:
    """The first of these members that is a text or a number; "" when none is."""
    for name in names:
        value = payload.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return str(value)
    return ""


def member(payload: Payload, name: str) -> Payload:
    """The object under a name; an empty one when there is none."""
    inner = payload.get(name)
    return inner if isinstance(inner, Mapping) else {}
