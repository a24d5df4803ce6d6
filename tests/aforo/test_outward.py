"""Requests to servers of other people: to public addresses only, unless the operator allows it."""

import socket

import pytest

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
    ],
)
def test_what_nothing_is_sent_to(url, reason):
    with pytest.raises(NotSendable, match=reason):
        require_sendable(url)


def test_public_addresses_over_tls_are_fine():
    require_sendable("https://tax.example:8443/v1?tenant=1")
    require_sendable("https://93.184.215.14/")


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
