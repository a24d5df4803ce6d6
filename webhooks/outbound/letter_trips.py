"""Sending letters to customers: what fails alone, and what stops all."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.core.mail import EmailMessage
from django.db.models import F
from django.db.models.expressions import Combinable

from webhooks.models import CustomerLetter
from webhooks.outbound.mail_server import AWAY, UNANSWERED, NoAnswer, hand_over, opened

RETRIES = tuple(timedelta(minutes=one) for one in (1, 10, 60, 360, 1440))
_LONGEST_ERROR = 400
State = CustomerLetter.State
Now = Callable[[], datetime]
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Trip:
    """Letters of several pages on their way, over as few connections as the server lets us."""

    end: float  # of `time.monotonic`
    now: Now
    sent: int = 0
    is_late: bool = False
    is_away: bool = False

    @property
    def goes_on(self) -> bool:
        """Whether there is time, and a server of mail."""
        return not (self.is_late or self.is_away)

    def send(self, page: Sequence[CustomerLetter]) -> None:
        """Send these. Those that it does not come to were not tried.

        What a server says to one letter it may say by hanging up, and after too many errors it
        does: after a letter that failed the next goes over another connection.
        """
        with ExitStack() as line:
            post = None
            for number, letter in enumerate(page):
                self.is_late = time.monotonic() > self.end
                if self.is_late:
                    return _put_off(page[number:], self.now(), last_error=F("last_error"))
                try:
                    post = post or opened(line)
                except AWAY as error:
                    self.is_away = True
                    log.warning("mail_server_away", letters=len(page) - number, error=str(error))
                    until = self.now() + RETRIES[0]
                    return _put_off(page[number:], until, last_error=_said(error))
                if _send(letter, post, self.now):
                    self.sent += 1
                else:
                    line.close()
                    post = None
        return None


def _put_off(
    letters: Sequence[CustomerLetter], until: datetime, *, last_error: str | Combinable
) -> None:
    """As if they had not been tried."""
    rows = CustomerLetter.objects.filter(pk__in=[one.pk for one in letters])  # any tenant: these
    rows.update(attempts=F("attempts") - 1, next_attempt_at=until, last_error=last_error)


def _said(error: Exception) -> str:
    return str(error)[:_LONGEST_ERROR]


def one_line(title: str) -> str:
    """What others wrote into it is no header."""
    return " ".join(title.split())


def _send(letter: CustomerLetter, post: Any, now: Now) -> bool:
    """Whether it was taken; else it is tried again later, and given up in the end.

    One that was handed over and not answered is over, too: it may be on its way.
    """
    tried = letter.attempts  # before this one
    try:
        title = one_line(letter.title)
        hand_over(EmailMessage(title, letter.text, to=[letter.address]), post)
    except NoAnswer:
        log.warning("customer_letter_unanswered", letter=str(letter.pk))
        letter.state, letter.last_error = State.SENT, UNANSWERED
    except (*AWAY, ValueError) as error:
        log.warning("customer_letter_failed", letter=str(letter.pk), error=str(error))
        letter.last_error = _said(error)
        if tried < len(RETRIES):
            letter.next_attempt_at = now() + RETRIES[tried]
        else:
            letter.state = State.FAILED
    else:
        letter.state, letter.last_error = State.SENT, ""
    if letter.state != State.WAITING:
        letter.finished_at = letter.next_attempt_at = now()
    letter.attempts = tried + 1
    letter.save(update_fields=["state", "finished_at", "last_error", "next_attempt_at", "attempts"])
    return bool(letter.state == State.SENT) and letter.last_error != UNANSWERED
