"""Children: each in a session of its own, with a log, on a leash and known to the guard."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LOG_LIMIT = 20_000_000  # bytes; a longer log is set aside when its program starts again
TAIL = 30  # lines of a log that are shown when its program fails


class StackError(Exception):
    """The local stack cannot run; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to start, as whom, and how it is asked to stop: within seconds, else it is killed."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within: float = 20.0
    user: int = field(default_factory=os.getuid)


class Guard:
    """The process that cleans up after us if we are killed; see the script beside this file.

    It shares `lock`, so that the lock is free only when our last child is gone.
    """

    def __init__(self, *, lock: int | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", _script("guard")],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            text=True,
            start_new_session=True,
            pass_fds=() if lock is None else (lock,),
        )

    def watch(self, group: int, stop_signal: int) -> None:
        self._order(f"watch {group} {stop_signal:d}")

    def forget(self, group: int) -> None:
        self._order(f"forget {group}")

    def remove(self, folder: Path) -> None:
        """Remove `folder` when all is over, now or after a kill."""
        self._order(f"remove {folder}")

    def dismiss(self) -> None:
        """Let the guard end what is still there, then end."""
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()

    def _order(self, line: str) -> None:
        if self._process.stdin is None:
            return
        with contextlib.suppress(BrokenPipeError):  # itself killed: the leashes remain
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()


class Child:
    """A started program and every process it started in turn."""

    def __init__(self, program: Program, *, logs: Path, guard: Guard) -> None:
        self.program = program
        self._guard = guard
        self._log = logs / f"{program.name}.log"
        if self._log.exists() and self._log.stat().st_size > LOG_LIMIT:
            self._log.rename(self._log.with_suffix(".log.1"))
        with self._log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                leashed(program.command, program.stop_signal, program.user),
                env=dict(program.environment),
                # a folder without packages that Python or Celery could take for ours
                cwd=logs if program.user == os.getuid() else "/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C in the terminal reaches only us
            )
        guard.watch(self.pid, program.stop_signal)

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_running(self) -> bool:
        """Whether its main process runs. If not, what that left behind is killed."""
        if self._process.returncode is None and self._has_ended():
            self.kill()  # before the process is reaped, so that its id is still its own
            self._process.wait()
            self._guard.forget(self.pid)
        return self._process.returncode is None

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode

    def ask_to_stop(self) -> None:
        if self.is_running():
            self._process.send_signal(self.program.stop_signal)

    def kill(self) -> None:
        """SIGKILL to all its processes at once: what a crash or a lack of memory does."""
        if self._process.returncode is not None:
            return  # its id may be somebody else's by now
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def last_words(self) -> str:
        """The end of what it has written to its log since it was started."""
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-TAIL:])

    def _has_ended(self) -> bool:
        look = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.pid, look) is not None


def leashed(command: Sequence[str], stop_signal: int, user: int) -> list[str]:
    """The command line that runs `command` as `user` and sends it `stop_signal` when we die."""
    leash = [sys.executable, "-I", "-S", _script("leash")]
    return [*leash, str(os.getpid()), f"{stop_signal:d}", str(user), *command]


def _script(name: str) -> str:
    return str(Path(__file__).with_name(f"{name}.py"))
