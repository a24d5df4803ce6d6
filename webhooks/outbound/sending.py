"""Sending: many attempts at a time in one thread, so that those who hang cost nobody else."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from threading import Thread
from typing import Self

import httpx
from django.core.mail import EmailMessage

from aforo.addresses import Crowded
from aforo.outward import NotSendable, Unanswered, many_posts, post_soon
from webhooks.models import WebhookEndpoint
from webhooks.outbound.claiming import SECONDS, Claim
from webhooks.outbound.mail_server import UNANSWERED, NoAnswer
from webhooks.outbound.mailing import MailAway, Mailing
from webhooks.outbound.signing import signed_headers
from webhooks.outbound.wording import headline, lines

KEPT_BYTES = 4_096  # of an answer
GONE = 410
_LETTERS = 32  # at a time
_GRACE = 3  # seconds, within the lease, for a letter whose end is on its way
_LONGEST_ERROR = 400
Format = WebhookEndpoint.Format


@dataclass(slots=True)
class Outcome:
    """What became of one attempt."""

    claim: Claim
    started_at: datetime
    milliseconds: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    status: int | None = None
    answer: str = ""
    retry_after: str = ""
    error: str = ""
    is_put_off: bool = False  # nothing was sent, and the endpoint is not to blame

    @property
    def is_taken(self) -> bool:
        if self.claim.format == Format.EMAIL:
            return not self.error
        return self.status is not None and httpx.codes.is_success(self.status)

    @property
    def reason(self) -> str:
        """Why it was not taken, in a few words."""
        return self.error or f"answered {self.status}"


class Sender:
    """A thread with an event loop that makes attempts; leaving it waits for what is under way."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self._now = now
        self._loop = asyncio.new_event_loop()
        self._letters = ThreadPoolExecutor(_LETTERS, thread_name_prefix="letters")
        self._client = many_posts()
        self._thread = Thread(target=self._loop.run_forever, name="webhooks", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def send(self, claim: Claim) -> "Future[Outcome]":
        """Begin an attempt. It ends within `SECONDS`, whatever the other side does."""
        return asyncio.run_coroutine_threadsafe(self._attempt(claim), self._loop)

    async def _end(self) -> None:
        own = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not own]
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.aclose()
        self._letters.shutdown(wait=False, cancel_futures=True)  # whoever hangs is given up

    async def _attempt(self, claim: Claim) -> Outcome:
        outcome = Outcome(claim, started_at=self._now())
        began = time.monotonic()
        try:
            if claim.format == Format.EMAIL:
                await self._mail(claim, outcome)
            else:
                await self._post(claim, outcome)
        except (Crowded, MailAway) as error:
            outcome.is_put_off, outcome.error = True, str(error)[:_LONGEST_ERROR]
        except (NotSendable, Unanswered, OSError) as error:
            outcome.error = (str(error) or type(error).__name__)[:_LONGEST_ERROR]
        except Exception as error:  # noqa: BLE001  # whatever it is, the others go on
            outcome.error = f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]
        outcome.milliseconds = int((time.monotonic() - began) * 1000)
        return outcome

    async def _post(self, claim: Claim, outcome: Outcome) -> None:
        if not claim.secrets:
            outcome.error = "its secret cannot be opened: rotate it"
            return
        at = outcome.started_at
        if claim.format == Format.STANDARD:
            valid = claim.secrets
            outcome.headers = signed_headers(
                claim.body, message_id=claim.message_id, at=at, valid=valid
            )
        outcome.headers["User-Agent"] = "Aforo-Webhooks/1"
        answer = await post_soon(
            self._client,
            claim.url,
            claim.body,
            headers=outcome.headers,
            seconds=SECONDS,
            kept=KEPT_BYTES,
            owner=str(claim.tenant_id),
        )
        outcome.status = answer.status
        outcome.answer = answer.body.decode(errors="replace").replace("\0", "")
        outcome.retry_after = answer.retry_after

    async def _mail(self, claim: Claim, outcome: Outcome) -> None:
        message = EmailMessage(headline(claim.message), lines(claim.message), to=[claim.url])
        mailing = Mailing(message, seconds=SECONDS)
        sent = self._loop.run_in_executor(self._letters, mailing.send)
        if not await _ends(sent, SECONDS):
            if mailing.give_up():
                sent.cancel()
                raise MailAway(f"the server of mail was silent for {SECONDS} seconds")
            if not await _ends(sent, _GRACE):  # never two at a time: its answer counts, or none
                mailing.hang_up()
        try:
            await sent
        except NoAnswer:  # sent again it might come twice
            outcome.answer = UNANSWERED


async def _ends(sent: "asyncio.Future[None]", seconds: float) -> bool:
    done, _ = await asyncio.wait({sent}, timeout=seconds)
    return bool(done)
