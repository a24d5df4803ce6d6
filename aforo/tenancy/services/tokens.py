"""Tokens that gateways verify by themselves: signed for a quarter of an hour, blocked at once."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

import jwt
from django.conf import settings
from django.db import transaction
from redis.exceptions import RedisError

from aforo import valkey
from aforo.errors import Unavailable
from aforo.tenancy.blocklist import SECONDS, blocked_token
from aforo.tenancy.models import ApiKey, BlockedToken, TokenKey
from aforo.tenancy.services.token_keys import private_key_of, published_keys, signing_key

LIFETIME = timedelta(minutes=15)
SKEW = timedelta(seconds=30)  # that verifiers allow for their clocks
ALGORITHM = "RS256"
SCOPES = ("usage:write", "access:read")  # of a metering key: all that it may do
_PER_CALL = 500


@dataclass(frozen=True, slots=True)
class Subject:
    """For whom a token speaks, as its claims say it."""

    tenant_id: str
    customer_id: str | None
    key_id: str
    offering_ids: tuple[str, ...]
    subscription_ids: tuple[str, ...]
    environment: str


@dataclass(frozen=True, slots=True)
class Token:
    """What was signed, as far as whoever takes it back needs it."""

    jti: UUID
    tenant_id: UUID
    key_id: str
    expires_at: datetime


def issuer() -> str:
    """Who signs: the address of this installation."""
    return str(settings.SITE_URL).rstrip("/")


def issue_token(*, subject: Subject, scopes: tuple[str, ...], now: datetime) -> str:
    """A signed token for `LIFETIME`. `now` is everybody's clock: verifiers know no other."""
    key = signing_key(now=now)
    claims = asdict(subject) | {
        "iss": issuer(),
        "sub": subject.customer_id or subject.key_id,
        "scopes": list(scopes),
        "jti": str(uuid4()),
        "exp": int((now + LIFETIME).timestamp()),
    }
    headers = {"kid": str(key.pk)}
    return jwt.encode(claims, private_key_of(key), algorithm=ALGORITHM, headers=headers)


def key_set(*, now: datetime) -> dict[str, list[dict[str, str]]]:
    """The JSON Web Key Set (RFC 7517) by which tokens are verified."""
    return {"keys": [_public(key) for key in published_keys(now=now)]}


def read_token(text: str, *, now: datetime) -> Token | None:
    """A token of ours that is still good; None for anything else."""
    try:
        named = jwt.get_unverified_header(text).get("kid")
        key = next(one for one in published_keys(now=now) if str(one.pk) == named)
        public = private_key_of(key).public_key()
        claims = jwt.decode(text, public, algorithms=[ALGORITHM], issuer=issuer(), leeway=SKEW)
        expires_at = datetime.fromtimestamp(claims["exp"], tz=now.tzinfo)
        tenant_id = UUID(claims["tenant_id"])
        return Token(UUID(claims["jti"]), tenant_id, claims["key_id"], expires_at)
    except (jwt.InvalidTokenError, StopIteration, LookupError, TypeError, ValueError):
        return None


@transaction.atomic
def block_token(*, token: Token, now: datetime) -> None:
    """Take a token back; again changes nothing.

    Gateways that read Redis hear of it right after the commit; when that cannot be done this fails
    (`Unavailable`), and is told by the sweep.
    """
    BlockedToken.objects.bulk_create(
        [
            BlockedToken(
                id=token.jti,
                tenant_id=token.tenant_id,
                until=token.expires_at + SKEW,
                created_at=now,
            )
        ],
        ignore_conflicts=True,
    )
    transaction.on_commit(partial(_tell, [token.jti]))


def mark_blocked(*, now: datetime) -> int:
    """Tell Redis again of all tokens that are blocked and forget those that are over; how many."""
    BlockedToken.objects.filter(until__lte=now).delete()  # any tenant: a sweep
    blocked = list(BlockedToken.objects.values_list("pk", flat=True))  # any tenant: a sweep
    for start in range(0, len(blocked), _PER_CALL):
        _tell(blocked[start : start + _PER_CALL])
    return len(blocked)


def is_own(token: Token, key: ApiKey) -> bool:
    """Whether a token was given out to `key`."""
    return token.tenant_id == key.tenant_id and token.key_id == str(key.pk)


def _tell(ids: list[UUID]) -> None:
    try:
        with valkey.client().pipeline(transaction=False) as pipe:
            for jti in ids:
                pipe.set(blocked_token(jti), 1, ex=SECONDS)
            pipe.execute()
    except RedisError as error:
        raise Unavailable("the token is blocked, but gateways still have to hear of it") from error


def _public(key: TokenKey) -> dict[str, str]:
    return {
        "kid": str(key.pk),
        "kty": "RSA",
        "use": "sig",
        "alg": ALGORITHM,
        "n": key.modulus,
        "e": key.exponent,
    }
