"""Questions to a starting stack: is the port free, does HTTP answer, does a task come back."""

import http.client
import socket

import redis
from celery import Celery
from celery.states import SUCCESS

from aforo.embedded.processes import StackError

HOST = "127.0.0.1"
PING = "aforo.ping"


def bindable(port: int) -> int:
    """Return `port`, or a free one for 0; refuse one that is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise StackError(f"port {port}: {error.strerror}: choose another --port") from error
        bound: int = probe.getsockname()[1]
        return bound


def bindable_beside(port: int) -> int:
    """The port after `port`, or any free one where that is taken."""
    try:
        return bindable(port + 1)
    except (StackError, OverflowError):
        return bindable(0)


def http_answers(port: int) -> bool:
    """Whether `/healthz` says that all is well."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class RoundTrip:
    """One small task on its way through the broker to a worker, and its result on the way back."""

    def __init__(self, broker_url: str) -> None:
        self._app = Celery(backend=broker_url, set_as_current=False)
        self._app.conf.update(broker_write_url=broker_url)  # our environment outdoes `broker`
        self._task_id = self._app.send_task(PING, ignore_result=False, expires=600).id

    def has_returned(self) -> bool:
        try:
            state: str = self._app.backend.get_state(self._task_id)
        except redis.RedisError:
            return False
        return state == SUCCESS
