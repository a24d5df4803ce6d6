"""Every operation of the OpenAPI document, with what it allows and what it does not.

No answer is a 5xx, and none is outside of the document.
"""

from pathlib import Path

import pytest
import schemathesis
import yaml
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.factories import OperatorKeyFactory
from tests.metering.conftest import TOKEN, fresh_process, no_wakes, seller

__all__ = ["fresh_process", "no_wakes", "seller"]
pytestmark = pytest.mark.slow

DOCUMENT = Path(__file__).resolve().parent.parent.parent / "docs" / "openapi.yaml"
CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]
METERING = ("/v1/", "/api/v1/ingest/", "/compat/")
METHODS = {"get", "post", "put", "patch", "delete"}
paths = yaml.safe_load(DOCUMENT.read_text())["paths"]
OPERATIONS = [
    (method, path) for path, methods in paths.items() for method in methods if method in METHODS
]
schema = schemathesis.openapi.from_path(DOCUMENT)
schema.app = WSGIHandler()

often = settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    phases=[Phase.generate],  # to shrink takes minutes, and the case is told as it is
)


@pytest.fixture(autouse=True)
def one_connection():
    """The requests of a test share its connection and its transaction."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def test_there_are_operations():
    assert len(OPERATIONS) > 50


@pytest.mark.parametrize("operation", OPERATIONS, ids=" ".join)
def test_no_answer_is_outside_of_the_document(seller, operation):
    method, path = operation
    operator = OperatorKeyFactory(tenant=seller.tenant, role="OWNER").secret
    described = schema[path][method]

    @often
    @given(case=described.as_strategy() | described.as_strategy(GenerationMode.NEGATIVE))
    def answers(case):
        for name in ("Authorization", "X-Aforo-Key", "X-Tenant-Id"):
            case.headers.pop(name, None)  # wrong ones are refused before anything is read
        headers = {"Authorization": f"Bearer {TOKEN if path.startswith(METERING) else operator}"}
        with transaction.atomic():  # what one request leaves, or breaks, is nothing to the next
            response = case.call(headers=headers)
            transaction.set_rollback(True)
        case.validate_response(response, checks=CHECKS)

    answers()
