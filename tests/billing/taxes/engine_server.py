"""A tax engine that really listens: it answers, hangs, lies and fails, as it is told."""

import json
import threading
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aforo.money import round_to_minor


def vat(question, percent="19"):
    """The answer of an honest engine."""
    lines = []
    for line in question["lines"]:
        amount = round_to_minor(
            Decimal(line["amount"]) * Decimal(percent) / 100, question["currency"]
        )
        tax = {"name": "VAT", "percent": percent, "amount": str(amount)}
        lines.append({"position": line["position"], "taxes": [tax]})
    total = sum(Decimal(line["taxes"][0]["amount"]) for line in lines)
    return {"lines": lines, "taxTotal": str(total)}


class Engine:
    """`answers` is a function of the question, giving (status, body); `asked` what came in."""

    def __init__(self):
        self.asked, self.headers = [], []
        self.answers = lambda question: (200, vat(question))
        self.let_go = threading.Event()
        engine = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self):
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                engine.asked.append(raw)
                engine.headers.append(dict(self.headers))
                status, body = engine.answers(json.loads(raw))
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args):
                """Nothing: tests say enough."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.server.daemon_threads = True

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/tax"

    def hang(self, question):
        self.let_go.wait(30)
        return 200, {}

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.let_go.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
