"""A server of mail that refuses, hangs up or takes its time as a test says."""

import time
from contextlib import contextmanager
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Event, Thread


class MailServer(ThreadingTCPServer):
    """Refuses `bad...@`, and hangs up at `patience` of them; `pauses[verb]` are in seconds."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Clerk)
        self.taken = []
        self.visits = 0
        self.patience = 20
        self.pauses = {}
        self.verdicts = []  # about texts; then all are taken
        self.reading = Event()  # it has the whole of a text

    def handle_error(self, *args):
        """Nothing: senders hang up."""


class Clerk(StreamRequestHandler):
    def say(self, text):
        self.wfile.write(f"{text}\r\n".encode())

    def handle(self):
        self.server.visits += 1
        refused, to = 0, ""
        self.say("220 ready")
        while line := self.rfile.readline().decode().strip():
            verb = line.upper()[:4]
            time.sleep(self.server.pauses.get(verb, 0))
            if verb == "RCPT" and "<bad" in line:
                refused += 1
                if refused >= self.server.patience:
                    return self.say("421 too many errors")
                self.say("550 no such user")
            elif verb == "DATA":
                self.say("354 go on")
                while self.rfile.readline().strip() != b".":
                    pass
                self.server.reading.set()
                time.sleep(self.server.pauses.get(".", 0))
                verdict = self.server.verdicts.pop(0) if self.server.verdicts else "250 taken"
                if verdict.startswith("250"):
                    self.server.taken.append(to)
                self.say(verdict)
            else:
                to = line.partition("<")[2].partition(">")[0] if verb == "RCPT" else to
                self.say("221 bye" if verb == "QUIT" else "250 as you say")
        return None


@contextmanager
def mail_server(settings):
    server = MailServer()
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = server.server_address
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
