"""The demonstration's side of HTTP: what any customer of the product could do with its keys."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from itertools import count
from typing import Any, Self

import httpx

_PATIENCE_SECONDS = 120
_POLL_SECONDS = 0.1
_UNFINISHED = {"CREATED", "WAITING", "RUNNING"}
_PAGE = 200


class DemoFailed(Exception):
    """The story cannot go on; the message says why, in one line."""


@dataclass(slots=True)
class Sent:
    """What the doors answered, summed up."""

    events: int = 0
    accepted: int = 0
    duplicates: int = 0
    failed: int = 0
    unreadable: int = 0

    def add(self, answer: Mapping[str, Any]) -> None:
        self.events += answer["accepted"] + answer["duplicates"] + answer["failed"]
        self.accepted += answer["accepted"]
        self.duplicates += answer["duplicates"]
        self.failed += answer["failed"]


class Seller:
    """Speaks to one tenant through its two keys."""

    def __init__(self, url: str, *, metering_key: str, operator_key: str) -> None:
        transport = httpx.HTTPTransport(retries=3)
        self._http = httpx.Client(base_url=url, timeout=30, transport=transport)
        self._metering = {"Authorization": f"Bearer {metering_key}"}
        self._operator = {"Authorization": f"Bearer {operator_key}"}
        self.sent = Sent()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def send(self, body: bytes) -> int:
        """Send one body of events; how many of them the door has seen."""
        headers = {**self._metering, "Content-Type": "application/json"}
        answer = self._http.post("/v1/ingest/batch", content=body, headers=headers)
        if answer.status_code == HTTPStatus.BAD_REQUEST:
            self.sent.unreadable += 1
            return 0
        if answer.status_code != HTTPStatus.UNPROCESSABLE_ENTITY:
            _require_success(answer)
        before = self.sent.events
        self.sent.add(answer.json())
        return self.sent.events - before

    def freeze_clock(self, at: datetime) -> None:
        self._post("/api/v1/sandbox/clock/freeze", at=at.isoformat())

    def advance_clock(self, to: datetime) -> None:
        self._post("/api/v1/sandbox/clock/advance", to=to.isoformat())

    def bill(self, *, start: datetime, end: datetime) -> None:
        """Bill every period that ends in (start, end], by a run of our own or by Beat's."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            answer = self._http.post(
                "/api/v1/bill-runs",
                headers=self._operator,
                json={
                    "billingPeriodStart": start.isoformat(),
                    "billingPeriodEnd": end.isoformat(),
                    "autoFinalize": True,
                },
            )
            if answer.status_code != HTTPStatus.CONFLICT:  # Beat may just be billing the same
                return self._run(_require_success(answer).json()["id"], deadline)
            time.sleep(_POLL_SECONDS)
        raise DemoFailed("another bill run did not finish")

    def invoices(self) -> Iterator[Mapping[str, Any]]:
        """Every invoice of the tenant, whole."""
        for number in count():
            page = self._get("/api/v1/invoices", page=number, size=_PAGE)["content"]
            for row in page:
                yield self._get(f"/api/v1/invoices/{row['id']}")
            if len(page) < _PAGE:
                return

    def pdf(self, invoice_id: str) -> bytes:
        answer = self._http.get(f"/api/v1/invoices/{invoice_id}/pdf", headers=self._operator)
        return _require_success(answer).content

    def _run(self, run_id: str, deadline: float) -> None:
        self._post(f"/api/v1/bill-runs/{run_id}/execute")
        while time.monotonic() < deadline:
            status = self._get(f"/api/v1/bill-runs/{run_id}")["status"]
            if status == "COMPLETED":
                return
            if status not in _UNFINISHED:
                raise DemoFailed(f"the bill run ended as {status}")
            time.sleep(_POLL_SECONDS)
        raise DemoFailed("the bill run did not finish")

    def _get(self, path: str, **query: object) -> Any:
        answer = self._http.get(path, headers=self._operator, params=query)  # type: ignore[arg-type]
        return _require_success(answer).json()

    def _post(self, path: str, **body: object) -> Any:
        answer = self._http.post(path, headers=self._operator, json=body)
        return _require_success(answer).json()


def _require_success(answer: httpx.Response) -> httpx.Response:
    """The answer, unless it is none that was hoped for."""
    if answer.is_success:
        return answer
    request = answer.request
    raise DemoFailed(
        f"{request.method} {request.url.path} was answered {answer.status_code}: {_detail(answer)}"
    )


def _detail(answer: httpx.Response) -> str:
    """What a problem document says, or else the beginning of what came."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, LookupError, TypeError):
        return answer.text[:200]
