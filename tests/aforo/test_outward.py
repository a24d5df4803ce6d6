"""Requests to servers of other people: to public addresses only, unless the operator allows it."""

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from aforo import outward
from aforo.outward import NotSendable, Unanswered, post, require_sendable


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "is no URL of https"),
        ("ftp://tax.example/", "is no URL of https"),
        ("https://", "is no URL of https"),
        ("http://tax.example/", "begins with https://"),
        ("https://me:secret@tax.example/", "names no user"),
        ("https://127.0.0.1/", "which is not public"),
        ("https://10.1.2.3/", "which is not public"),
        ("https://169.254.169.254/latest", "which is not public"),
        ("https://[::1]/", "which is not public"),
        ("https://[::ffff:10.0.0.1]/", "which is not public"),
        ("https://0.0.0.0/", "which is not public"),
        ("https://224.0.0.1/", "which is not public"),
        ("https://[fec0::1]/", "which is not public"),
    ],
)
def test_what_nothing_is_sent_to(url, reason):
    with pytest.raises(NotSendable, match=reason):
        require_sendable(url)


def test_public_addresses_over_tls_are_fine():
    require_sendable("https://tax.example:8443/v1?tenant=1")
    require_sendable("https://93.184.215.14/")
    require_sendable("https://[2a00:1450:4001:80b::200e]/")


def test_an_operator_may_allow_private_ones(settings):
    settings.PRIVATE_DESTINATIONS = True
    require_sendable("http://10.0.0.1:8080/")
    with pytest.raises(NotSendable):
        require_sendable("ftp://10.0.0.1/")


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.7", "::1"])
def test_a_public_name_that_leads_to_a_private_address_is_refused(monkeypatch, address):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(NotSendable, match=f"leads to {address}"):
        post("https://tax.example/", b"{}", headers={}, seconds=1)


def test_a_name_that_leads_nowhere_is_no_answer(monkeypatch):
    def fails(*args, **kwargs):
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    with pytest.raises(Unanswered, match=r"no address for tax\.example"):
        post("https://tax.example/", b"{}", headers={}, seconds=1)


def certificate(name, folder):
    """A key and a certificate of `name`, signed by itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)  # noqa: TID251 - as the client that reads it
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    signed = builder.sign(key, SHA256()).public_bytes(Encoding.PEM)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = folder / f"{name}.pem"
    path.write_bytes(private + signed)
    return path


class Door(BaseHTTPRequestHandler):
    def do_POST(self):
        content = self.headers["Host"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        """Nothing: tests say enough."""


@pytest.fixture
def named(tmp_path, settings, monkeypatch):
    """A function that serves TLS here as `name`; every name leads here, and is believed."""
    settings.PRIVATE_DESTINATIONS = True
    server = HTTPServer(("127.0.0.1", 0), Door)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))

    def named(name):
        path = certificate(name, tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread.start()
        believing = ssl.create_default_context(cafile=str(path))
        monkeypatch.setattr(outward.httpx, "Client", partial(httpx.Client, verify=believing))

        def here(host, port, *_, **__):
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(socket, "getaddrinfo", here)
        return server.server_port

    yield named
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_certificate_is_that_of_the_name_though_the_address_is_connected_to(named):
    port = named("tax.example")
    answer = post(f"https://tax.example:{port}/", b"{}", headers={}, seconds=5)
    assert answer == (200, f"tax.example:{port}".encode(), "")


def test_a_certificate_of_another_name_is_not_believed(named):
    port = named("other.example")
    with pytest.raises(Unanswered, match="certificate"):
        post(f"https://tax.example:{port}/", b"{}", headers={}, seconds=5)
