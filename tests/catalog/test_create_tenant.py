"""`create_tenant`: what scripts get to start with."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from aforo.tenancy.models import Tenant
from catalog.models import BillingEntity
from tests.clients import client_with

pytestmark = pytest.mark.django_db


def create(*arguments):
    out = StringIO()
    call_command("create_tenant", *arguments, stdout=out)
    return out.getvalue()


def test_scripts_get_ids_and_keys_that_open():
    answer = json.loads(create("Acme Corp", "--sandbox", "--currency", "EUR", "--json"))

    for part, prefix in ((answer, "sk_live_"), (answer["sandbox"], "sk_test_")):
        assert part["keys"]["metering"].startswith(prefix)
        seen = client_with(part["keys"]["operator"]).get("/api/v1/tenant").json()
        assert (seen["id"], seen["slug"]) == (part["tenantId"], part["slug"])
        entity = BillingEntity.objects.for_tenant(part["tenantId"]).get()
        assert (entity.currency, entity.is_default) == ("EUR", True)
    assert Tenant.objects.get(pk=answer["sandbox"]["tenantId"]).live_twin.slug == "acme-corp"


def test_without_sandbox_there_is_none():
    answer = json.loads(create("Acme", "--json"))

    assert set(answer) == {"tenantId", "slug", "keys"}
    assert Tenant.objects.count() == 1


def test_people_get_lines_to_read():
    assert "operator key  afo_" in create("Acme")


@pytest.mark.parametrize(
    "wrong", [["--currency", "ZZZ"], ["--slug", "a b"], ["--time-zone", "X/Y"]]
)
def test_what_is_refused_leaves_nothing(wrong):
    with pytest.raises(CommandError):
        create("Acme", "--sandbox", *wrong)
    assert not Tenant.objects.exists()
