"""A fact as an e-mail, within a time. Our own server of mail is nobody's endpoint."""

import socket
import time
from contextlib import suppress
from threading import Lock
from typing import Any

from django.core.mail import EmailMessage, get_connection

from webhooks.outbound.mail_server import AWAY, hand_over, take_leave


class MailAway(Exception):
    """Our server of mail could not be reached: nothing was sent, and no address is to blame."""


class Mailing:
    """One e-mail, sent by a thread that waits; until it is being said it can be given up."""

    def __init__(self, message: EmailMessage, *, seconds: float) -> None:
        self._message = message
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._lock = Lock()  # of the two that follow: not both come true
        self._is_given_up = False
        self._is_being_said = False
        self._post: Any = None

    def send(self) -> None:
        """Send it, or raise; MailAway when nothing was said to the server, NoAnswer at the end.

        Half of the time is for reaching the server. What is left may all be for the last step, when
        the server has the whole text and looks at it: given up there, it would be sent again.
        """
        self._require_half("too many letters are being sent")
        self._post = get_connection(timeout=self._seconds / 2)
        try:
            self._post.open()
        except AWAY as error:
            raise MailAway(f"the server of mail is away: {error}") from error
        try:
            self._begin()
            hand_over(self._message, self._post)
        finally:
            take_leave(self._post)

    def give_up(self) -> bool:
        """Whether it was not sent and never will be; else it is being said at this moment."""
        with self._lock:
            self._is_given_up = not self._is_being_said
            return self._is_given_up

    def hang_up(self) -> None:
        """End what is being said, wherever it is."""
        line = self._line()
        if line is not None:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def _begin(self) -> None:
        with self._lock:
            self._require_half("the server of mail is slow")
            self._is_being_said = True
        line = self._line()
        if line is not None:
            line.settimeout(self._seconds)  # whoever waits hangs up

    def _require_half(self, reason: str) -> None:
        if self._is_given_up or self._end - time.monotonic() < self._seconds / 2:
            raise MailAway(reason)

    def _line(self) -> socket.socket | None:
        """The connection, where there is one: not while developing, for instance."""
        found: socket.socket | None = getattr(getattr(self._post, "connection", None), "sock", None)
        return found
