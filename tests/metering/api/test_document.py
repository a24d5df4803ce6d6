import re

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from metering.api import urls
from metering.ingest.events import KNOWN_FIELDS


def document():
    return SchemaGenerator().get_schema(request=None, public=True)


def test_the_document_knows_every_ingest_route():
    routes = {re.sub(r"<\w+:(\w+)>", r"{\1}", f"/{route.pattern}") for route in urls.urlpatterns}
    ingest = {path for path in routes if path.startswith("/v1/ingest")}
    assert ingest <= document()["paths"].keys()


def test_the_document_knows_every_field_of_an_event():
    properties = document()["components"]["schemas"]["UsageEvent"]["properties"]
    assert properties.keys() == KNOWN_FIELDS


def test_the_document_is_valid():
    validate_schema(document())


def test_ingest_asks_for_a_metering_key():
    operation = document()["paths"]["/v1/ingest/batch"]["post"]
    assert operation["security"] == [{"meteringKey": []}]
    assert {"202", "403", "422", "default"} == operation["responses"].keys()
