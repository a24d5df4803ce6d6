"""What a button of the admin changes is changed by a form that was posted, never by a link."""

from functools import partial

import pytest
from django.contrib import admin
from django.urls import reverse

from tests.aforo.tenancy.test_admin import browser_of
from tests.factories import (
    ContractFactory,
    OutboundDeliveryFactory,
    RatePlanVersionFactory,
    UserFactory,
    WebhookDeliveryFactory,
    WebhookEndpointFactory,
    WebhookSourceFactory,
)

ONLY_SHOW = {"compare_this", "try_it", "open_matrix", "overview"}
ASK_ON_A_PAGE = {"from_templates"}  # changes something only when its own form is posted
PLACES = ("actions_detail", "actions_list", "actions_row", "actions_submit_line")
SURE = {"_form_submitted": "True"}  # a dialog that was answered
ASKED = {  # of each dialog a row that it may be asked for, and what is filled in
    "catalog_contract_activate_this": (ContractFactory, {}),
    "catalog_contract_terminate_this": (ContractFactory, {"reason": "given up"}),
    "catalog_rateplanversion_publish_this": (RatePlanVersionFactory, {}),
    "webhooks_outbounddelivery_send_this_again": (OutboundDeliveryFactory, {}),
    "webhooks_webhookdelivery_replay_this": (
        partial(WebhookDeliveryFactory, verdict="UNMAPPED"),
        {},
    ),
    "webhooks_webhookendpoint_archive_this": (WebhookEndpointFactory, {}),
    "webhooks_webhookendpoint_rotate_this": (WebhookEndpointFactory, {}),
    "webhooks_webhookendpoint_test_this": (WebhookEndpointFactory, {}),
    "webhooks_webhooksource_new_secret": (WebhookSourceFactory, {"old_stays": "1"}),
}


def test_a_button_that_changes_something_asks_first():
    buttons = {
        (type(page).__name__, name): hasattr(getattr(page, name), "dialog")
        for page in admin.site._registry.values()
        for place in PLACES
        for name in getattr(page, place, ())
    }
    assert len(buttons) > 8
    links = {name for (_, name), asks in buttons.items() if not asks}
    assert links == ONLY_SHOW | ASK_ON_A_PAGE


@pytest.mark.django_db
def test_each_dialog_ends_on_a_page_and_not_in_itself():
    """Its script would load a redirect into the dialog: what the page says is seen by nobody."""
    dialogs = {
        f"{page.opts.app_label}_{page.opts.model_name}_{name}"
        for page in admin.site._registry.values()
        for place in PLACES
        for name in getattr(page, place, ())
        if hasattr(getattr(page, name), "dialog")
    }
    assert dialogs == ASKED.keys()
    browser = browser_of(UserFactory(is_staff=True, is_superuser=True))
    ends = {}
    for name, (row, filled) in ASKED.items():
        path = reverse(f"admin:{name}", args=(row().pk,))
        answer = browser.post(path, SURE | filled, headers={"HX-Request": "true"})
        ends[name] = (answer.status_code, "HX-Redirect" in answer.headers)
    assert ends == dict.fromkeys(ASKED, (200, True))
