"""Addresses of servers of other people: which are public, and what a name leads to."""

import socket
from collections import Counter
from concurrent.futures import Future
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from threading import Lock, Thread

Address = IPv4Address | IPv6Address
Addresses = tuple[Address, ...]
AT_ONCE = 1_000  # look-ups under way; each is a thread that waits
SHARE = 200  # of them for one owner: whoever has names that hang leaves room for others

# Besides what the standard library knows: what routers, clouds and tunnels answer at.
_CLOSED = tuple(
    ip_network(network)
    for network in (
        "168.63.129.16/32",  # the host of a virtual machine at Azure
        "192.0.0.0/24",  # protocols, not servers
        "192.88.99.0/24",  # relays of 6to4
        "2001::/23",  # protocols and Teredo, which carries an IPv4 address in it
        "2002::/16",  # 6to4, likewise
        "3fff::/20",  # documentation
    )
)
_UNICAST = ip_network("2000::/3")  # what of IPv6 is given to anybody at all
_NAT64 = ip_network("64:ff9b::/96")
_IPV4_BITS = 32


class Crowded(OSError):
    """Too many names are being looked up: this one was not, and may be all right."""


def is_public(address: Address) -> bool:
    """Whether anybody may be reached at `address`, and nobody of ours.

    What is only another spelling of an IPv4 address (`::ffff:10.0.0.1`, NAT64) is judged as that.
    """
    meant = _meant(address)
    if isinstance(meant, IPv6Address) and meant not in _UNICAST:
        return False
    if not meant.is_global or meant.is_multicast:
        return False
    return not any(meant in network for network in _CLOSED)


def _meant(address: Address) -> Address:
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) % (1 << _IPV4_BITS))
    return address.ipv4_mapped or address


_under_way: dict[tuple[str, int], Future[Addresses]] = {}
_owners: Counter[str] = Counter()
_lock = Lock()


def find(host: str, port: int, *, owner: str = "") -> "Future[Addresses]":
    """What `host` leads to; the result raises OSError when that is nowhere.

    Crowded, which is one, beyond `AT_ONCE` names, or beyond `SHARE` of one owner's; those of nobody
    ("") have no share.

    A server of names that hangs cannot be told to stop, so each look-up has a thread of its own
    that nobody waits for, and a name that is being looked up is not looked up again meanwhile.
    """
    with _lock:
        found = _under_way.get((host, port))
        if found is None:
            found = Future()
            found.set_running_or_notify_cancel()  # one who gives up does not cancel the others
            if len(_under_way) >= AT_ONCE or (owner and _owners[owner] >= SHARE):
                found.set_exception(Crowded("too many names are being looked up"))
                return found
            _under_way[host, port] = found
            _owners[owner] += 1
            asked = (host, port, owner, found)
            Thread(target=_look_up, args=asked, name="names", daemon=True).start()
    return found


def _look_up(host: str, port: int, owner: str, found: "Future[Addresses]") -> None:
    try:
        places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = tuple(ip_address(place[0]) for *_, place in places)
    except Exception as error:  # noqa: BLE001  # whoever waits is told, whatever it is
        _end(host, port, owner)
        found.set_exception(error)
    else:
        _end(host, port, owner)
        found.set_result(addresses)


def _end(host: str, port: int, owner: str) -> None:
    with _lock:
        _under_way.pop((host, port), None)
        _owners[owner] -= 1
        if not _owners[owner]:
            del _owners[owner]
