"""An external tax engine, asked over HTTP: signed, within a time, never inside a transaction."""

import hmac
from datetime import datetime

from django.db import connection

from aforo.outward import NotSendable, Unanswered, post
from billing.taxes.contract import BadAnswer, Question, Taxation, read_answer

SECONDS = 10  # for one answer
_OK = 200


class EngineFailed(Exception):
    """The engine did not answer, or not soundly: the invoice stays a draft."""

    def __init__(self, reason: str, *, is_away: bool) -> None:
        super().__init__(reason)
        self.is_away = is_away  # so that it need not be asked about the next invoice just now


def ask_engine(question: Question, *, url: str, secret: bytes, now: datetime) -> Taxation:
    """What the engine at `url` says; raises EngineFailed.

    The same question may be asked again: its `Idempotency-Key` is the same.
    """
    if connection.in_atomic_block:
        raise RuntimeError("a tax engine is not asked while rows are locked")
    headers = {
        "Idempotency-Key": question.idempotency_key,
        "X-Aforo-Signature": signature(secret, question.body, now=now),
    }
    try:
        answer = post(url, question.body, headers=headers, seconds=SECONDS)
    except NotSendable as error:
        raise EngineFailed(f"the URL {error}", is_away=True) from error
    except Unanswered as error:
        raise EngineFailed(f"no answer: {error}", is_away=True) from error
    if answer.status != _OK:
        raise EngineFailed(
            f"answered {answer.status}",
            is_away=answer.status >= 500 or answer.status == 429,  # noqa: PLR2004 - HTTP
        )
    try:
        return read_answer(question, answer.body)
    except BadAnswer as error:
        raise EngineFailed(str(error), is_away=False) from error


def signature(secret: bytes, body: bytes, *, now: datetime) -> str:
    """`t=<seconds since 1970>,v1=<HMAC-SHA256 of "t.body" in hexadecimal>`."""
    at = str(int(now.timestamp()))
    digest = hmac.digest(secret, at.encode() + b"." + body, "sha256").hex()
    return f"t={at},v1={digest}"
