"""What one edge process is told at its start, from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from catalog.aliases import key_of

PREFIX = "AFORO_EDGE_"


class Misconfigured(Exception):
    """What is missing, as a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was read is used for `fresh_seconds` without asking, for `stale_seconds` without Redis.

    `keys_of` is the tenant whose keys open, where they are brought: no others do. `tenant` is whose
    customers call, where they bring no key of ours, and none is asked for. A `feature` or `metric`
    is of all calls, whatever they claim, unless a header for it is named as well.
    """

    redis_url: str
    alias_key: bytes
    fresh_seconds: float = 1.0
    stale_seconds: float = 900.0
    is_internal: bool = False
    gateway_tokens: tuple[str, ...] = ()
    keys_of: str = ""
    tenant: str = ""
    customer_header: str = "X-Aforo-Customer"
    feature_header: str = ""
    metric_header: str = ""
    feature: str = ""
    metric: str = ""
    support_url: str = "/portal/support"

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """From `AFORO_EDGE_...`; Misconfigured when what must be said is not."""
        given = {
            name: environment[PREFIX + name.upper()]
            for name in (*_TEXTS, *_SECONDS)
            if environment.get(PREFIX + name.upper())
        }
        texts = {name: given[name] for name in _TEXTS if name in given}
        seconds = {name: float(given[name]) for name in _SECONDS if name in given}
        redis_url = texts.pop("redis_url", "") or environment.get("REDIS_URL", "")
        if not redis_url:
            raise Misconfigured("say where Redis is: --redis-url or REDIS_URL")
        if "keys_of" in texts and "tenant" in texts:
            raise Misconfigured("with --tenant no keys are asked for: say it or --keys-of")
        tokens = environment.get("AFORO_GATEWAY_TOKENS", "").split(",")
        return cls(
            redis_url=redis_url,
            alias_key=_alias_key(environment),
            is_internal=environment.get(PREFIX + "INTERNAL", "") == "true",
            gateway_tokens=tuple(token for token in tokens if token),
            **seconds,  # type: ignore[arg-type]  # numbers by the names of numbers
            **texts,  # type: ignore[arg-type]  # likewise
        )


_SECONDS = ("fresh_seconds", "stale_seconds")
_TEXTS = (
    "redis_url",
    "keys_of",
    "tenant",
    "customer_header",
    "feature_header",
    "metric_header",
    "feature",
    "metric",
    "support_url",
)


def _alias_key(environment: Mapping[str, str]) -> bytes:
    """By which other names of customers are hashed: as it is, or made of the installation's own."""
    given = environment.get(PREFIX + "ALIAS_KEY", "")
    secret = environment.get("SECRET_KEY", "")
    if not given and not secret:
        raise Misconfigured("other names of customers need AFORO_EDGE_ALIAS_KEY: `aforo edge-key`")
    try:
        return bytes.fromhex(given) if given else key_of(secret)
    except ValueError:
        raise Misconfigured("AFORO_EDGE_ALIAS_KEY is 64 digits of hex: `aforo edge-key`") from None
