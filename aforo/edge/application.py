"""The WSGI application of `aforo edge`: access checks, `ext_authz`, health, metrics.

No Django runs here: nothing asks its settings, and no model is imported.
"""

import hmac
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from prometheus_client import Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from aforo.edge.authorizing import ROUTE as AUTHORIZE
from aforo.edge.authorizing import Answer, Authorizer, Call
from aforo.edge.line import Line
from aforo.edge.looking import EdgeLooking
from aforo.edge.memory import Memory
from aforo.edge.options import Options
from aforo.edge.revocations import Revocations
from aforo.edge.throttling import Throttle
from aforo.errors import PROBLEM, AforoError, NotFound, headers_of, problem_of
from aforo.ids import request_id_of
from metering.api.access import ROUTES, Ask, answered
from metering.api.access_shapes import body_of
from metering.api.access_verdicts import note_refused

StartResponse = Callable[..., Any]
PREFIX = f"/{AUTHORIZE}"  # before the path of the original request
UP, DEGRADED, DOWN = "UP", "DEGRADED", "DOWN"
_SECONDS = Histogram(
    "aforo_edge_seconds",
    "How long answers took.",
    ["route"],
    buckets=(0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25),
)
_HEARS = Gauge("aforo_edge_hears", "1 while Redis answers and revocations are heard.")
log = structlog.get_logger(__name__)


class Edge:
    """One edge process; `start` begins to listen, `stop` ends it."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._memory = Memory()
        self._revocations = Revocations(options.redis_url, self._memory)
        self._looking = EdgeLooking(
            options, self._memory, Line(options.redis_url), self._revocations.heard_since
        )
        self._authorizer = Authorizer(options, self._looking, Throttle())
        _HEARS.set_function(lambda: self._revocations.heard_since() is not None)

    def start(self) -> None:
        self._revocations.start()

    def stop(self) -> None:
        self._revocations.stop()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        began, request_id = time.perf_counter(), request_id_of(environ)
        route, answer = self._answer(environ, request_id)
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(answer.body)),
            "X-Content-Type-Options": "nosniff",
            "X-Request-Id": request_id,
        }
        status = HTTPStatus(answer.status)
        start_response(f"{status.value} {status.phrase}", [*(headers | answer.headers).items()])
        _SECONDS.labels(route).observe(time.perf_counter() - began)
        return [answer.body]

    def _answer(self, environ: dict[str, Any], request_id: str) -> tuple[str, Answer]:
        path = environ.get("PATH_INFO", "")
        try:
            if path == PREFIX or path.startswith(f"{PREFIX}/"):
                return AUTHORIZE, self._authorizer.answer(_call(environ, request_id))
            known = ROUTES.get(path)
            if known and environ.get("REQUEST_METHOD") == known[0]:
                status, kind, body, more = answered(path, known[1], self._ask(environ, request_id))
                return path, Answer(status, {"Content-Type": kind} | more, body)
            return "other", self._about_itself(path)
        except AforoError as error:
            note_refused(AUTHORIZE, error, request_id=request_id)
            return AUTHORIZE, _problem(error, request_id)
        except Exception:
            log.exception("edge_failed", request_id=request_id)
            raise

    def _about_itself(self, path: str) -> Answer:
        match path:
            case "/healthz":
                return Answer(HTTPStatus.OK, {}, msgspec.json.encode({"status": UP}))
            case "/readyz":
                return self._readiness()
            case "/metrics":
                return Answer(
                    HTTPStatus.OK, {"Content-Type": CONTENT_TYPE_LATEST}, generate_latest()
                )
            case _:
                return _problem(NotFound("there is nothing here"), "")

    def _readiness(self) -> Answer:
        """Without Redis it is DEGRADED but ready, as long as it remembers anything.

        So it is while nobody writes the entries of keys: it reads customers, but knows no new key.
        """
        hears = self._revocations.heard_since() is not None
        is_ready = hears or bool(self._memory.customers)
        are_keys_written = hears and self._revocations.are_keys_written
        body = {
            "status": (UP if are_keys_written else DEGRADED) if is_ready else DOWN,
            "checks": {"redis": UP if hears else DOWN, "keys": UP if are_keys_written else DOWN},
        }
        return Answer(200 if is_ready else 503, {}, msgspec.json.encode(body))

    def _ask(self, environ: dict[str, Any], request_id: str) -> Ask:
        return Ask(
            looking=self._looking,
            request_id=request_id,
            authorization=environ.get("HTTP_AUTHORIZATION", ""),
            own_key=environ.get("HTTP_X_AFORO_KEY", ""),
            tenant_header=environ.get("HTTP_X_TENANT_ID", ""),
            query=environ.get("QUERY_STRING", ""),
            body=lambda: body_of(environ),
            is_internal=lambda: self._is_internal(environ.get("HTTP_X_AFORO_GATEWAY_TOKEN", "")),
        )

    def _is_internal(self, given: str) -> bool:
        """As the options say of everybody, else for who brings a gateway token."""
        return self._options.is_internal or any(
            hmac.compare_digest(given.encode(), token.encode())
            for token in self._options.gateway_tokens
        )


def _call(environ: dict[str, Any], request_id: str) -> Call:
    def header(name: str) -> str:
        value: str = environ.get("HTTP_" + name.upper().replace("-", "_"), "")
        if value.isascii():
            return value
        return value.encode("latin-1", "replace").decode(errors="replace")  # as WSGI spells bytes

    return Call(header, request_id)


def _problem(error: AforoError, request_id: str) -> Answer:
    body = msgspec.json.encode(problem_of(error, instance=request_id))
    return Answer(error.status, {"Content-Type": PROBLEM} | headers_of(error), body)
