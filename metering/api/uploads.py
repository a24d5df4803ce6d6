"""Files of usage over HTTP: taken as they come, answered 202, read by a worker."""

from collections.abc import Mapping
from typing import IO, Any, cast
from uuid import UUID

from django.http import HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ParseError
from rest_framework.parsers import DataAndFiles, MultiPartParser
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from aforo.api.views import AnyKeyAPIView, TenantAPIView, TenantDetailView, TenantListView
from aforo.errors import Forbidden, NotFound, TooLarge, Unreadable
from aforo.tenancy import clock
from aforo.tenancy.models import ApiKey
from aforo.tenancy.requests import address_of, request_id
from aforo.tenancy.roles import KEY_WRITERS
from aforo.tenancy.services.actors import Actor
from catalog.selectors.key_customers import may_ask_about
from metering.api.upload_shapes import NewUpload, UploadSerializer, UploadStart
from metering.models import Upload
from metering.selectors import uploads as selectors
from metering.services import uploads
from metering.services.uploads import MOST_BYTES
from metering.uploads import report
from metering.uploads.reading import Reading

FORM_BYTES = 1024 * 1024  # what a form may need besides its file


class _Counted:
    """A body as it is read, and how much of it came."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        piece = self._stream.read(size)
        self.count += len(piece)
        return piece


class UploadParser(MultiPartParser):
    """A form with a file, which goes to disk as it comes: memory holds a small part of it.

    A body that breaks off is refused; without this, the file would only be shorter.
    """

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> DataAndFiles:
        request: Request = (parser_context or {})["request"]
        length = int(request.META.get("CONTENT_LENGTH") or 0)
        if length > MOST_BYTES + FORM_BYTES:
            raise _too_large()
        body = _Counted(stream)
        try:
            parsed = super().parse(cast(IO[bytes], body), media_type, parser_context)
        except (ParseError, OSError) as error:
            raise Unreadable(f"the form cannot be read: {error}") from None
        if body.count < length:
            raise Unreadable("the body broke off before its end", code="BROKEN_BODY")
        return parsed


def _too_large() -> TooLarge:
    return TooLarge(f"a file over HTTP has at most {MOST_BYTES} bytes: use `aforo import`")


class MaySend(BasePermission):
    """Metering keys send usage, and operators whose role lets them."""

    def has_permission(self, request: Request, view: Any) -> bool:
        key = cast(ApiKey, request.auth)
        if request.method in SAFE_METHODS or key.kind == ApiKey.Kind.METERING:
            return True
        if key.role not in KEY_WRITERS:
            raise Forbidden(f"role {key.role} may not do this")
        return True


def receive(request: Request) -> Upload:
    """Keep the file of a form, and have it read."""
    key = cast(ApiKey, request.auth)
    uploads.require_room(tenant=key.tenant)
    form = NewUpload(data=request.data)
    form.is_valid(raise_exception=True)
    asked = form.validated_data
    if asked["backfill"] and key.kind != ApiKey.Kind.OPERATOR:
        raise Forbidden("backfill needs an operator key")
    if asked["file"].size > MOST_BYTES:
        raise _too_large()
    reading = Reading(
        asked["mapping"],
        asked["default_metric_name"],
        asked["default_customer_id"],
        asked["dry_run"],
        asked["backfill"],
    )
    return uploads.receive(
        tenant=key.tenant,
        file=asked["file"],
        file_name=asked["file"].name,
        reading=reading,
        actor=Actor.key(key, address=address_of(request), request_id=request_id()),
        api_key_id=key.pk,
        now=clock.now(key.tenant),
        at=timezone.now(),
    )


class IngestUpload(AnyKeyAPIView):
    """A file of usage, 202 once it is kept; each row passes the gates like any event."""

    permission_classes = (MaySend,)
    parser_classes = (UploadParser,)

    @extend_schema(request=NewUpload, responses={202: UploadSerializer}, tags=["ingest"])
    def post(self, request: Request) -> Response:
        return Response(UploadSerializer(receive(request)).data, status=202)


class IngestUploadDetail(AnyKeyAPIView):
    """How far a file was read and what became of its rows, asked with a key of either kind.

    A subscription's key finds what keys of its customer sent.
    """

    permission_classes = (MaySend,)

    @extend_schema(responses=UploadSerializer, tags=["ingest"])
    def get(self, request: Request, upload_id: UUID) -> Response:
        key = cast(ApiKey, request.auth)
        upload = selectors.uploads(tenant=key.tenant).filter(pk=upload_id).first()
        if upload is None or not may_ask_about(key, sent_with=upload.api_key_id):
            raise NotFound(f"there is no upload {upload_id} here")
        return Response(UploadSerializer(upload).data)


class UploadList(TenantListView):
    """The tenant's uploads, the newest first."""

    selector = selectors.uploads
    serializer_class = UploadSerializer
    write_roles = KEY_WRITERS
    parser_classes = (UploadParser,)
    replays_answers = False  # the file is its own key: sent twice, it counts once

    @extend_schema(request=NewUpload, responses={202: UploadSerializer})
    def post(self, request: Request) -> Response:
        """Keep a file and have it read; 202 before any row is counted."""
        return self.answer(receive(request), status=202)


class UploadDetail(TenantDetailView):
    """How far a file was read, and what became of its rows."""

    selector = selectors.uploads
    serializer_class = UploadSerializer


class UploadStarting(TenantAPIView):
    """Count a file that was only read in a dry run, or rehearse it again."""

    selector = selectors.uploads
    serializer_class = UploadSerializer
    write_roles = KEY_WRITERS

    @extend_schema(request=UploadStart)
    def post(self, request: Request, **path: Any) -> Response:
        upload = self.get_object()
        asked = self.read(UploadStart, may_be_empty=True)
        reading = Reading(
            asked.get("mapping", upload.mapping),
            asked.get("default_metric_name", upload.default_metric),
            asked.get("default_customer_id", upload.default_customer),
            asked["dry_run"],
            asked.get("backfill", upload.backfill),
        )
        started = uploads.start(
            upload=upload, reading=reading, actor=self.actor, now=self.now(), at=timezone.now()
        )
        return self.answer(started, status=202)


class UploadCancelling(TenantAPIView):
    """Read a file no further. Rows that were read stay counted."""

    selector = selectors.uploads
    serializer_class = UploadSerializer
    write_roles = KEY_WRITERS

    @extend_schema(request=None)
    def post(self, request: Request, **path: Any) -> Response:
        cancelled = uploads.cancel(
            upload=self.get_object(), actor=self.actor, now=self.now(), at=timezone.now()
        )
        return self.answer(cancelled)


class UploadReport(TenantAPIView):
    """The rows that were refused, as CSV, however many."""

    selector = selectors.uploads

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR})
    def get(self, request: Request, **path: Any) -> HttpResponseBase:
        upload = self.get_object()
        return StreamingHttpResponse(
            report.lines_of(upload),
            content_type=report.CONTENT_TYPE,
            headers={"Content-Disposition": report.disposition_of(upload)},
        )
