"""Requests to our own routes without a network: the views themselves, in this transaction."""

from http import HTTPStatus
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import msgspec
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.urls import Resolver404, resolve

from aforo.errors import Refused

_ANSWERED = range(HTTPStatus.OK, HTTPStatus.MULTIPLE_CHOICES)


class Answer:
    """What a route said: its status, and its JSON if it is some."""

    def __init__(self, response: HttpResponse) -> None:
        self.status = response.status_code
        self.is_good = self.status in _ANSWERED
        is_json = "json" in response.headers.get("Content-Type", "")
        self.body: Any = msgspec.json.decode(response.content) if is_json else None

    def required(self, what: str) -> Any:
        """The body; Refused (422) when the route refused."""
        if not self.is_good:
            shown = msgspec.json.encode(self.body).decode()[:2000]
            raise Refused(f"{what} was answered {self.status}: {shown}", code="STEP_REFUSED")
        return self.body


class Caller:
    """Somebody with an API key."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get(self, path: str) -> Answer:
        return self.send("GET", path, b"")

    def post(self, path: str, body: object) -> Answer:
        return self.send("POST", path, msgspec.json.encode(body))

    def send(self, method: str, path: str, body: bytes) -> Answer:
        """The answer of the view at `path`; Refused (422) when there is none."""
        parts = urlsplit(path)
        try:
            view, args, kwargs = resolve(parts.path)
        except Resolver404:
            raise Refused(f"there is no route {path}", code="INVALID_SCENARIO") from None
        request = WSGIRequest(self._environment(method, parts.path, parts.query, body))
        response = view(request, *args, **kwargs)
        if hasattr(response, "render") and not response.is_rendered:
            response.render()
        return Answer(response)

    def _environment(self, method: str, path: str, query: str, body: bytes) -> dict[str, Any]:
        return {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_AUTHORIZATION": f"Bearer {self._token}",
            "wsgi.input": BytesIO(body),
            "wsgi.url_scheme": "http",
        }
