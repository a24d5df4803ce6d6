"""Whose address goes into the audit log."""

import pytest
from django.test import RequestFactory

from aforo.tenancy.requests import address_of


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "address"),
    [
        (0, "192.0.2.1", "203.0.113.9", "192.0.2.1"),
        (1, "10.0.0.1", "203.0.113.9", "203.0.113.9"),
        (1, "10.0.0.1", "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        (2, "10.0.0.1", "6.6.6.6, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        (2, "10.0.0.1", "203.0.113.9", "203.0.113.9"),
        (1, "10.0.0.1", "nonsense", None),
        (1, "10.0.0.1", "", None),
        (0, "", "", None),
        (0, "2001:db8::1", "", "2001:db8::1"),
        (0, "fe80::1%2", "", "fe80::1"),
        (0, "192.0.2.1%2", "", None),
    ],
)
def test_only_our_own_proxies_are_believed(settings, proxies, peer, forwarded, address):
    settings.TRUSTED_PROXIES = proxies
    request = RequestFactory().get("/", REMOTE_ADDR=peer, HTTP_X_FORWARDED_FOR=forwarded)

    assert address_of(request) == address
