import pytest
from django.urls import resolve

from metering.api.urls import HOT_ROUTES


def test_the_address_that_is_printed_leads_to_the_admin(client):
    answer = client.get("/")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")


@pytest.mark.django_db
def test_logging_in_without_a_destination_leads_to_the_overview(client, django_user_model):
    django_user_model.objects.create_superuser("root", password="correct horse")
    entered = {"username": "root", "password": "correct horse"}
    answer = client.post("/admin/login/", entered, REMOTE_ADDR="127.0.0.1")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")


@pytest.mark.parametrize(("route", "view"), HOT_ROUTES.items())
def test_a_hot_route_has_the_same_view_for_other_methods(route, view):
    assert resolve(f"/{route}").func is view
