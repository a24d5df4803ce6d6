"""Our server of mail: reaching it, and handing letters over to it once."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from smtplib import SMTP, SMTPException, SMTPResponseException
from typing import Any

from django.core.mail import EmailMessage, get_connection

AWAY = (OSError, SMTPException)
UNANSWERED = "handed over, no answer"
_END_OF_TEXT = b"\r\n.\r\n"


class NoAnswer(Exception):
    """It has the whole text and did not answer: it may well send it, so it gets it no more."""

    def __init__(self) -> None:
        super().__init__(UNANSWERED)


def opened(line: ExitStack) -> Any:
    """A connection that `line` closes; raises one of `AWAY`."""
    post = get_connection()
    post.open()
    line.callback(take_leave, post)
    return post


def take_leave(post: Any) -> None:
    """What was sent is sent, however the server takes leave."""
    with suppress(*AWAY):
        post.close()


def hand_over(message: EmailMessage, post: Any) -> None:
    """Send it; raises one of `AWAY`, ValueError, or NoAnswer when it is not to be sent again."""
    message.connection = post
    line = getattr(post, "connection", None)
    if not isinstance(line, SMTP):  # while developing, for instance
        message.send()
        return
    watch = _Watch(line.send)
    line.send = watch  # type: ignore[assignment]  # smtplib tells nobody how far it came
    try:
        message.send()
    except SMTPResponseException:
        raise
    except AWAY as error:
        if watch.was_text:
            raise NoAnswer from error
        raise
    finally:
        del line.send


class _Watch:
    """Sends as before, and remembers whether the end of a text was the last that was sent."""

    def __init__(self, send: Callable[[Any], None]) -> None:
        self._send = send
        self.was_text = False

    def __call__(self, said: Any) -> None:
        self._send(said)
        self.was_text = isinstance(said, bytes) and said.endswith(_END_OF_TEXT)
