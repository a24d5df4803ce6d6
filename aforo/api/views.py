"""The views that all admin endpoints stand on: a tenant, an actor, a clock."""

from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial
from typing import Any, ClassVar, cast

from django.conf import settings
from django.db.models import Model, QuerySet
from django.http import Http404, HttpResponse
from django.utils import timezone
from rest_framework.generics import GenericAPIView
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from aforo.api.authentication import AnyKeyAuthentication
from aforo.api.entities import entity_response
from aforo.api.idempotency import HEADER, answer_once
from aforo.api.rates import RATES, Rate
from aforo.errors import NotFound, Unreadable
from aforo.tenancy import clock
from aforo.tenancy.models import ApiKey, Tenant
from aforo.tenancy.requests import address_of, request_id
from aforo.tenancy.roles import WRITERS
from aforo.tenancy.services.actors import Actor

Selector = Callable[..., QuerySet[Any]]
Verb = Callable[..., Any]


class _SaysWhereKeysStand(APIView):
    rate: Rate | None = None  # where a limited key stands

    def finalize_response(
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> Response:
        """Every answer to a limited key says where it stands."""
        final: Response = super().finalize_response(request, response, *args, **kwargs)
        for name, value in (self.rate.headers if self.rate else {}).items():
            final[name] = value
        return final


class AnyKeyAPIView(_SaysWhereKeysStand):
    """What senders of usage may ask as well as operators.

    The limit of an operator key is in requests, so this counts; that of a metering key in events.
    """

    authentication_classes = (AnyKeyAuthentication,)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        key = cast(ApiKey, request.auth)
        if key.kind == ApiKey.Kind.METERING:
            self.rate = RATES.rate_of(key.pk, key.rate_limit or settings.KEY_RATE_LIMIT)
            return
        RATES.require(key.pk, key.rate_limit)
        self.rate = RATES.add(key.pk, key.rate_limit, 1)


class TenantAPIView(_SaysWhereKeysStand, GenericAPIView):
    """A view of one tenant, the key's. `selector(tenant=...)` is all it can see.

    `serializer_class` is the shape of the answer; input has a serializer of its own, read with
    `self.read(...)`.
    """

    tenant: Tenant
    actor: Actor
    write_roles: ClassVar[Collection[str]] = WRITERS
    selector: ClassVar[Selector | None] = None
    replays_answers: ClassVar[bool] = True  # POSTs accept an `Idempotency-Key`
    lookup_field = "pk"
    lookup_url_kwarg = "id"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        key = cast(ApiKey, request.auth)  # nobody else gets past `RoleAllows`
        self.tenant = key.tenant
        RATES.require(key.pk, key.rate_limit)
        self.rate = RATES.add(key.pk, key.rate_limit, 1)
        self.actor = Actor.key(
            key,
            address=address_of(request),
            request_id=request_id(),
        )
        if request.method == "POST" and self.replays_answers and HEADER in request.headers:
            answer = getattr(self, "post", self.http_method_not_allowed)
            self.__dict__["post"] = partial(self._post_once, answer)  # which is called next

    def now(self) -> datetime:
        """Now on the tenant's clock."""
        return clock.now(self.tenant)

    def _post_once(self, post: Verb, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        answer = partial(self._answered, post, request, *args, **kwargs)
        return answer_once(request, tenant=self.tenant, now=timezone.now(), answer=answer)

    def _answered(self, post: Verb, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        """The final bytes of an answer, also of a refusal, so that they can be stored."""
        try:
            response = post(request, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  # raised again, unless it is expected
            response = self.handle_exception(error)
        final: HttpResponse = self.finalize_response(request, response, *args, **kwargs)
        if isinstance(final, Response):
            final.render()
        return final

    def get_queryset(self) -> QuerySet[Any]:
        """The tenant's rows, by the view's selector."""
        selector = type(self).selector
        if selector is None:
            raise NotImplementedError(f"{type(self).__name__} names no selector")
        if getattr(self, "swagger_fake_view", False):
            return selector(tenant=Tenant()).none()  # the document is drawn without a key
        return selector(tenant=self.tenant)

    def get_object(self) -> Any:
        """The tenant's row with the id of the path; somebody else's is as absent as none."""
        try:
            return super().get_object()
        except Http404:
            raise NotFound(f"there is nothing here with id {self.kwargs['id']}") from None

    def read(
        self, serializer_class: type[BaseSerializer], *, may_be_empty: bool = False
    ) -> dict[str, Any]:
        """The body's validated fields; an empty body is `Unreadable`, a wrong one is refused."""
        is_empty = self.request.META.get("CONTENT_LENGTH") in {None, "", "0"}
        if is_empty and not may_be_empty:
            raise Unreadable("the body is empty")
        serializer = serializer_class(data=self.request.data, context=self.get_serializer_context())
        serializer.is_valid(raise_exception=True)
        validated: dict[str, Any] = serializer.validated_data
        return validated

    def answer(self, row: Model, *, status: int = 200, **meta: object) -> Response:
        """One row in the view's own shape."""
        return entity_response(self.get_serializer(row).data, status=status, **meta)


class TenantListView(ListModelMixin, TenantAPIView):
    """GET a page of what the selector gives, filtered by `filterset_class`."""

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.list(request, *args, **kwargs)


class TenantDetailView(TenantAPIView):
    """GET one row of what the selector gives."""

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.answer(self.get_object())
