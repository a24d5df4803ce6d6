"""API keys: issued and shown once, revoked at once."""

from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from redis.exceptions import RedisError

from aforo import valkey
from aforo.errors import Forbidden, Refused, Unavailable
from aforo.tenancy import blocklist, plaintext
from aforo.tenancy.key_entries import REVOCATIONS, REVOKED, entry_of
from aforo.tenancy.models import ApiKey, Tenant
from aforo.tenancy.models.members import Role
from aforo.tenancy.roles import may_grant
from aforo.tenancy.services import audit
from aforo.tenancy.services.actors import Actor

REVOKED_SECONDS = 3600  # longer than a door may take between reading a key and remembering it
LATELY = timedelta(seconds=960)  # what was revoked before has no entry or token left that passes
MARKS_PER_CALL = 500
# What no sender is: doors, files and decisions of our own.
RESERVED_SOURCES = frozenset({"WEBHOOK", "FILE", "REPLAY", "SESSION", "AMEND", "VOID", "TEST"})


@transaction.atomic
def issue_key(
    *,
    tenant: Tenant,
    kind: str,
    name: str,
    role: str = Role.MEMBER,
    source: str = "API",
    rate_limit: int | None = None,
    actor: Actor,
    now: datetime,
) -> tuple[ApiKey, str]:
    """A new key and its plaintext, shown this once. Only operator keys have a `role`.

    `rate_limit` is in events a minute, for an operator key in requests; None is none. `source` is
    stored with every event that comes in with it, and never changes.
    """
    if source in RESERVED_SOURCES:
        raise Refused.naming("source", "RESERVED", f"{source} is what Aforo itself sends as")
    if kind not in ApiKey.Kind or role not in Role:
        raise Refused(f"there is no key of kind '{kind}' and role '{role}'")
    role = role if kind == ApiKey.Kind.OPERATOR else Role.MEMBER
    if not may_grant(actor.role, role):
        raise Forbidden(f"role {actor.role} may not issue a key of role {role}")
    prefix = plaintext.prefix_of(kind, sandbox=tenant.is_sandbox)
    text = plaintext.draw(prefix)
    key = ApiKey.objects.create(
        tenant=tenant,
        kind=kind,
        name=name,
        role=role,
        source=source,
        rate_limit=rate_limit,
        prefix=prefix,
        last_four=text[-4:],
        digest=plaintext.digest_of(text),
        created_at=now,
    )
    told = {"name": name, "kind": kind, "role": role, "key": str(key)}
    if source != "API":
        told["source"] = source
    if rate_limit is not None:
        told["rate_limit"] = str(rate_limit)
    changes = audit.differences({}, told)
    audit.record(
        tenant=tenant, actor=actor, action="API_KEY_ISSUED", target=key, now=now, changes=changes
    )
    return key, text


@transaction.atomic
def limit_key(*, key: ApiKey, rate_limit: int | None, actor: Actor, now: datetime) -> ApiKey:
    """Set what a key may send in a minute; doors that know it hear of it within half of one."""
    keys = ApiKey.objects.for_tenant(key.tenant_id).select_for_update(no_key=True)
    locked: ApiKey = keys.get(pk=key.pk)
    changes = audit.differences({"rate_limit": locked.rate_limit}, {"rate_limit": rate_limit})
    if changes:
        locked.rate_limit = rate_limit
        locked.save(update_fields=["rate_limit"])
        audit.record(
            tenant=key.tenant_id,
            actor=actor,
            action="API_KEY_LIMITED",
            target=locked,
            now=now,
            changes=changes,
        )
    return locked


@transaction.atomic
def revoke_key(*, key: ApiKey, actor: Actor, now: datetime, reason: str = "") -> ApiKey:
    """Close `key` for every request that starts after this answers; again changes nothing.

    Doors that ask PostgreSQL see the revoke with its commit. Those that trust Redis are cut off
    right after it; when that cannot be done the revoke fails (`Unavailable`) and must be repeated.
    """
    keys = ApiKey.objects.for_tenant(key.tenant_id).select_for_update(no_key=True)
    locked: ApiKey = keys.get(pk=key.pk)
    if not locked.is_revoked:
        locked.revoked_at = now
        locked.save(update_fields=["revoked_at"])
        audit.record(
            tenant=key.tenant_id,
            actor=actor,
            action="API_KEY_REVOKED",
            target=locked,
            now=now,
            changes=audit.differences({"revoked_at": None}, {"revoked_at": now}),
            reason=reason,
        )
    transaction.on_commit(partial(_forget_key, locked.pk, bytes(locked.digest)))
    return locked


def mark_revoked(*, now: datetime) -> int:
    """Cut off keys whose revoking could not be told to Redis at the time; how many were looked at.

    `now` is everybody's clock. Where a tenant has its own, it does not say how long ago a key was
    revoked, so all of those are looked at. RedisError when Redis is away.
    """
    revoked = ApiKey.objects.filter(kind=ApiKey.Kind.METERING)  # any tenant: a sweep
    own_clock = Q(tenant__clock_frozen_at__isnull=False) | ~Q(tenant__clock_offset=timedelta(0))
    rows = revoked.filter(Q(revoked_at__gt=now - LATELY) | Q(revoked_at__isnull=False) & own_clock)
    found = list(rows.order_by().values_list("pk", "digest"))
    for start in range(0, len(found), MARKS_PER_CALL):
        pipeline = valkey.client().pipeline(transaction=False)
        for key_id, digest in found[start : start + MARKS_PER_CALL]:
            pipeline.set(blocklist.blocked_client(key_id), 1, ex=blocklist.SECONDS)
            pipeline.set(entry_of(bytes(digest)), REVOKED, ex=REVOKED_SECONDS, xx=True)
            pipeline.publish(REVOCATIONS, bytes(digest).hex())
        pipeline.execute()
    return len(found)


def _forget_key(key_id: UUID, digest: bytes) -> None:
    """Leave a mark: whoever has read the key before would else write its entry anew."""
    try:
        with valkey.client().pipeline(transaction=False) as pipe:
            pipe.set(entry_of(digest), REVOKED, ex=REVOKED_SECONDS)
            pipe.set(blocklist.blocked_client(key_id), 1, ex=blocklist.SECONDS)
            pipe.publish(REVOCATIONS, digest.hex())
            pipe.execute()
    except RedisError as error:
        raise Unavailable("the key is revoked, but a cache still has to hear of it") from error
