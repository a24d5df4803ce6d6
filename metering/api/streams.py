"""What the web process says of the live stream: where it is, and tickets that open it."""

from typing import cast

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from aforo.api.authentication import AnyKeyAuthentication
from aforo.api.problems import problem_response
from aforo.api.serializers import WireSerializer
from aforo.errors import AforoError
from aforo.tenancy.models import ApiKey
from aforo.tenancy.roles import EVERYONE
from metering.stream.access import TICKET_SECONDS, address, of_key, ticket_for


class Elsewhere(AforoError):
    """This process holds no streams: ask the one that does."""

    status, title, code = 421, "Misdirected Request", "STREAM_ELSEWHERE"


def stream(_request: HttpRequest) -> HttpResponse:
    """No redirect: clients of streams do not follow them with their keys."""
    return problem_response(Elsewhere(f"the live stream is at {address()}"))


class StreamTicketSerializer(WireSerializer):
    ticket = serializers.CharField(help_text="for the stream's `?ticket=`; good for one minute")
    url = serializers.CharField(help_text="where the stream is")
    expires_in = serializers.IntegerField(help_text="seconds")


class StreamTickets(APIView):
    """Tickets for pages, whose EventSource can send no key."""

    authentication_classes = (AnyKeyAuthentication,)
    write_roles = EVERYONE

    @extend_schema(request=None, responses={201: StreamTicketSerializer})
    def post(self, request: Request) -> Response:
        """A ticket that opens the tenant's stream for a minute, as long as the key holds.

        That of a subscription's key opens it for events of its customer alone.
        """
        ticket = ticket_for(of_key(cast(ApiKey, request.auth)))
        body = {"ticket": ticket, "url": address(), "expiresIn": TICKET_SECONDS}
        return Response(body, status=201)
