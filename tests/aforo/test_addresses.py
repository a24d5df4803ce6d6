"""Which addresses are public, and names that are looked up while others hang."""

import socket
import threading
from ipaddress import ip_address

import pytest

from aforo import addresses, outward
from aforo.addresses import Crowded, find, is_public
from aforo.outward import Unanswered

PUBLIC = ["93.184.215.14", "2a00:1450:4001:80b::200e", "64:ff9b::5db8:d70e", "::ffff:93.184.215.14"]
CLOSED = [
    *["127.0.0.1", "10.1.2.3", "100.64.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1"],
    *["192.0.0.9", "192.88.99.1", "168.63.129.16", "198.18.0.1", "255.255.255.255"],
    *["::1", "::", "fe80::1", "fe80::1%eth0", "fec0::1", "fd00::1", "ff0e::1", "5f00::1"],
    *["::ffff:10.0.0.1", "::ffff:0:10.0.0.1", "::10.0.0.1", "::ffff:168.63.129.16"],
    *["64:ff9b::a00:1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "64:ff9b::a83f:8110"],
    *["2002:a00:1::1", "2002:5db8:d70e::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"],
    *["2001:db8::1", "2001:10::1", "3fff::1"],
]


def test_public_addresses_are_those_of_anybody():
    assert [one for one in PUBLIC if not is_public(ip_address(one))] == []


@pytest.mark.parametrize("address", CLOSED)
def test_what_is_private_under_any_spelling_is_not_public(address):
    assert not is_public(ip_address(address))


@pytest.fixture
def hanging(monkeypatch):
    """Names of `slow.example` are looked up until the test is over; others lead here at once."""
    over, asked = threading.Event(), []

    def look_up(host, port, *_, **__):
        asked.append(host)
        if host.endswith("slow.example"):
            over.wait(30)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield asked
    waiting = list(addresses._under_way.values())
    over.set()
    for one in waiting:
        one.result(10)


def test_names_that_hang_hold_up_no_others_and_each_is_asked_for_once(hanging):
    for number in range(100):
        find(f"{number % 70}.slow.example", 443)
    assert find("quick.example", 443).result(5) == (ip_address("127.0.0.1"),)
    assert len(hanging) == 71


def test_whoever_waits_for_a_name_waits_no_longer_than_said(hanging):
    with pytest.raises(Unanswered, match=r"no address for x\.slow\.example in time"):
        outward.post("https://x.slow.example/", b"{}", headers={}, seconds=0.05)


def test_names_that_hang_without_end_are_refused_before_they_are_too_many(hanging, monkeypatch):
    monkeypatch.setattr(addresses, "AT_ONCE", 2)
    find("1.slow.example", 443)
    find("2.slow.example", 443)
    with pytest.raises(OSError, match="too many names"):
        find("quick.example", 443).result(5)


def test_names_of_one_owner_that_hang_leave_room_for_those_of_others(hanging, monkeypatch):
    monkeypatch.setattr(addresses, "SHARE", 2)
    for number in range(2):
        find(f"{number}.slow.example", 443, owner="a")
    with pytest.raises(Crowded):
        find("quick.example", 443, owner="a").result(5)
    assert find("0.slow.example", 443, owner="a") is find("0.slow.example", 443, owner="b")
    for _ in range(3):  # each is over before the next
        assert find("quick.example", 443, owner="b").result(5)
