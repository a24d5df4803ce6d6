"""`aforo edge` in a process of its own, and Envoy before it, as users start them."""

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from aforo.embedded.probes import bindable
from tests.slow.installations import AFORO, PATIENCE, ROOT, own_environment
from tests.waiting import eventually

ENVOY = shutil.which("envoy", path=str(Path(sys.executable).parent)) or shutil.which("envoy")
CONFIGURATION = ROOT / "docs/envoy.yaml"


class Edge:
    """A running edge; `pid` is that of granian, whose child answers."""

    def __init__(self, port: int, process: subprocess.Popen) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self.process = process

    def status(self) -> str:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).json()["status"]
        except httpx.TransportError:
            return "GONE"

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(PATIENCE)

    def memory(self) -> int:
        """Of all its processes together in MB; what they share counts once."""
        pids = [self.process.pid, *_children(self.process.pid)]
        texts = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
        return sum(int(re.search(r"^Pss: +(\d+)", text, re.MULTILINE)[1]) for text in texts) // 1024


@contextmanager
def running_edge(environment: Mapping[str, str], *options: str) -> Iterator[Edge]:
    """Started and hearing; stopped afterwards, however the test ends."""
    port = bindable(0)
    command = [*AFORO, "edge", "--port", str(port), *options]
    process = subprocess.Popen(command, env=own_environment() | dict(environment))
    edge = Edge(port, process)
    try:
        assert eventually(lambda: edge.status() == "UP", within=PATIENCE)
        yield edge
    finally:
        edge.stop()


@contextmanager
def running_envoy(edge: Edge, api_port: int, folder: Path, tenant: str) -> Iterator[str]:
    """The address of Envoy as the documentation configures it, but for its ports and tenant."""
    port = bindable(0)
    text = CONFIGURATION.read_text()
    told = {
        "10000": str(port),
        "8010": str(edge.port),
        "9000": str(api_port),
        "YOUR-TENANT": tenant,
    }
    for before, after in told.items():
        assert before in text
        text = text.replace(before, after)
    text = text.replace("timeout: 0.05s", "timeout: 30s")  # this machine has other things to do
    (folder / "envoy.yaml").write_text(text)
    words = [ENVOY, "-c", str(folder / "envoy.yaml"), "--concurrency", "1", "-l", "warn"]
    process = subprocess.Popen([*words, "--use-dynamic-base-id"])
    url = f"http://127.0.0.1:{port}"
    try:
        assert eventually(lambda: _answers(url), within=PATIENCE)
        yield url
    finally:
        process.terminate()
        process.wait(PATIENCE)


class Api(ThreadingHTTPServer):
    """What stands behind the gateway: remembers what it was asked, by headers."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Door)
        self.asked: list[dict[str, str]] = []


@contextmanager
def running_api() -> Iterator[Api]:
    server = Api()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class _Door(BaseHTTPRequestHandler):
    server: Api
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append({name.lower(): value for name, value in self.headers.items()})
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"served")

    do_GET = do_POST = answer  # noqa: N815  as the base class wants them

    def log_message(self, *_: object) -> None:
        """Nothing: tests say enough."""


def _answers(url: str) -> bool:
    try:
        httpx.get(url, timeout=5)
    except httpx.TransportError:
        return False
    return True


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [child for name in found for child in (int(name), *_children(int(name)))]
