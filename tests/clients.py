"""HTTP clients for tests: what a program with a key sends, through every layer of the server."""

from rest_framework.test import APIClient

from tests.factories import OperatorKeyFactory


def operator_client(tenant, *, role="ADMIN", **headers):
    """A client of the admin API with a new operator key of `tenant`, available as `client.key`."""
    key = OperatorKeyFactory(tenant=tenant, role=role)
    client = client_with(key.secret, **headers)
    client.key = key
    return client


def client_with(secret, **headers):
    """A client that sends this key and JSON."""
    client = APIClient(raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}", **headers)
    client.default_format = "json"
    return client
