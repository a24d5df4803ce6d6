"""POSTs that happen once however often they are sent: `Idempotency-Key`, for 24 hours.

What the POST did and the answer to it are committed together, so a process that dies in between
leaves neither, and the client may simply ask again.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.http import HttpResponse
from rest_framework.request import Request

from aforo.api.models import StoredAnswer
from aforo.api.problems import InFlight
from aforo.errors import Conflict, Unreadable
from aforo.sealing import Unsealable, seal, unseal
from aforo.tenancy.models import Tenant

HEADER = "Idempotency-Key"
KEPT = timedelta(hours=24)
MAX_LENGTH = 255
_PURPOSE = "stored answer"
_SERVER_ERROR = 500
_CLIENT_ERROR = 400


def answer_once(
    request: Request, *, tenant: Tenant, now: datetime, answer: Callable[[], HttpResponse]
) -> HttpResponse:
    """The answer under this request's key: the stored one, or `answer()`, which is then stored.

    Raises:
        Unreadable: the key is empty or too long.
        Conflict: the key was used for another request.
        InFlight: the same key is being answered at this moment.

    """
    key, fingerprint = _key_of(request), _fingerprint_of(request)
    with transaction.atomic():
        if not _hold(tenant, key):
            raise InFlight(f"a request with {HEADER} '{key}' is being answered right now")
        stored = StoredAnswer.objects.for_tenant(tenant).filter(key=key).first()
        if stored is not None and stored.created_at > now - KEPT:
            return _replayed(stored, fingerprint)
        response = _undone_if_refused(answer)
        if not _invites_retry(response):
            _store(request, response, tenant=tenant, key=key, fingerprint=fingerprint, now=now)
    return response


def forget_answers(*, now: datetime) -> int:
    """Delete the answers nobody may ask for any more; how many there were."""
    old = StoredAnswer.objects.filter(created_at__lte=now - KEPT)  # any tenant
    return old.delete()[0]


def _key_of(request: Request) -> str:
    key = str(request.headers[HEADER]).strip()
    if not (0 < len(key) <= MAX_LENGTH and key.isprintable()):
        raise Unreadable(f"{HEADER} has 1 to {MAX_LENGTH} printable characters")
    return key


def _fingerprint_of(request: Request) -> bytes:
    question = f"{request.method} {request.get_full_path()}\n".encode()
    return hashlib.sha256(question + request.body).digest()


def _hold(tenant: Tenant, key: str) -> bool:
    """Take the key for this transaction; False when another one has it. Waits for nobody."""
    name = hashlib.blake2b(tenant.pk.bytes + key.encode(), digest_size=8).digest()
    with connection.cursor() as cursor:
        number = int.from_bytes(name, "big", signed=True)
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
        return bool(cursor.fetchone()[0])


def _undone_if_refused(answer: Callable[[], HttpResponse]) -> HttpResponse:
    with transaction.atomic():
        response = answer()
        if response.status_code >= _CLIENT_ERROR:
            transaction.set_rollback(True)
    return response


def _invites_retry(response: HttpResponse) -> bool:
    return response.status_code >= _SERVER_ERROR or response.has_header("Retry-After")


def _store(
    request: Request,
    response: HttpResponse,
    *,
    tenant: Tenant,
    key: str,
    fingerprint: bytes,
    now: datetime,
) -> None:
    StoredAnswer.objects.for_tenant(tenant).filter(key=key).delete()  # one that is too old
    StoredAnswer.objects.create(
        tenant=tenant,
        key=key,
        fingerprint=fingerprint,
        method=request.method or "",
        path=request.path[:2000],
        status=response.status_code,
        content_type=response["Content-Type"],
        sealed_body=seal(response.content, purpose=_PURPOSE, row=f"{tenant.pk}/{key}"),
        created_at=now,
    )


def _replayed(stored: StoredAnswer, fingerprint: bytes) -> HttpResponse:
    if bytes(stored.fingerprint) != fingerprint:
        raise Conflict(
            f"{HEADER} '{stored.key}' was used for another request", code="IDEMPOTENCY_KEY_REUSED"
        )
    row = f"{stored.tenant_id}/{stored.key}"
    try:
        body = unseal(bytes(stored.sealed_body), purpose=_PURPOSE, row=row)
    except Unsealable:
        raise Conflict(f"{HEADER} '{stored.key}' was answered before SECRET_KEY changed") from None
    response = HttpResponse(body, status=stored.status, content_type=stored.content_type)
    response["Idempotent-Replayed"] = "true"
    return response
