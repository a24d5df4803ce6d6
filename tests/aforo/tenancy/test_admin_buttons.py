"""What a button of the admin changes is changed by a form that was posted, never by a link."""

from django.contrib import admin

ONLY_SHOW = {"compare_this", "try_it", "open_matrix", "overview"}
ASK_ON_A_PAGE = {"from_templates"}  # changes something only when its own form is posted
PLACES = ("actions_detail", "actions_list", "actions_row", "actions_submit_line")


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
