"""The admin's sidebar: what operators look for, by what it is about.

Everything else is behind "all applications" and the search.
"""

from django.urls import reverse_lazy

_SUPERUSER = "aforo.tenancy.admin_base.is_superuser"


def _item(title: str, icon: str, model: str, **more: str) -> dict[str, object]:
    """One entry: the list of `app_model`."""
    return {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{model}_changelist"), **more}


def _page(title: str, icon: str, name: str) -> dict[str, object]:
    """One entry: a page that is no list."""
    return {"title": title, "icon": icon, "link": reverse_lazy(name)}


def _group(title: str, *items: dict[str, object]) -> dict[str, object]:
    return {"title": title, "separator": True, "items": list(items)}


NAVIGATION = [
    {
        "items": [
            {"title": "Overview", "icon": "dashboard", "link": reverse_lazy("admin:index")},
        ]
    },
    _group(
        "Catalog",
        _item("Products", "category", "catalog_product"),
        _item("Billable units", "straighten", "catalog_billableunit"),
        _item("Rate plans", "sell", "catalog_rateplan"),
        _item("Plan versions", "history", "catalog_rateplanversion"),
        _item("Offerings", "storefront", "catalog_offering"),
        _item("Features", "toggle_on", "catalog_feature"),
    ),
    _group(
        "Customers",
        _item("Customers", "group", "catalog_customer"),
        _item("Aliases", "alternate_email", "catalog_customeralias"),
        _item("Subscriptions", "event_repeat", "catalog_subscription"),
        _item("Periods", "date_range", "catalog_subscriptionperiod"),
        _item("Feature overrides", "rule_settings", "catalog_featureoverride"),
        _item("Contracts", "handshake", "catalog_contract"),
        _item("Coupons", "confirmation_number", "catalog_coupon"),
        _item("Redeemed coupons", "redeem", "catalog_couponredemption"),
    ),
    _group(
        "Usage",
        _page("Ingestion", "monitoring", "metering_ingestion"),
        _page("Live events", "stream", "metering_live"),
        _page("Try an event", "science", "admin:metering_try_event"),
        _item("Uploads", "upload_file", "metering_upload"),
        _item("Usage events", "bolt", "metering_usageevent"),
        _item("Sessions", "smart_toy", "metering_session"),
        _item("Running totals", "functions", "metering_runningtotal"),
        _item("Held events", "pending_actions", "metering_heldevent"),
        _item("Dead letters", "report", "metering_deadletter"),
        _item("Corrections", "undo", "metering_correction"),
        _item("Receipts", "receipt_long", "metering_receipt"),
        _item("Inbox", "inbox", "metering_inboxbatch"),
        _item("Idempotency keys", "vpn_key", "metering_eventkey"),
    ),
    _group(
        "Revenue and margin",
        _page("Live revenue", "payments", "metering_revenue"),
        _page("Margins", "percent", "metering_margins"),
        _item("Margin guards", "shield", "metering_marginguard"),
        _item("Guarded customers", "gpp_maybe", "metering_marginstate"),
        _item("Guard decisions", "gavel", "metering_guarddecision"),
        _item("Rate cards", "price_change", "metering_ratecard"),
        _item("Costs", "receipt", "metering_costevent"),
        _item("Customer tags", "label", "metering_customertag"),
    ),
    _group(
        "Monitors",
        _item("Alerts", "notifications", "metering_alert"),
        _item("Unit health", "monitor_heart", "metering_unithealth"),
        _item("Alert rules", "add_alert", "webhooks_alertrule"),
        _item("Customer preferences", "contact_mail", "webhooks_customerpreference"),
        _item("Monitor settings", "tune", "metering_monitorsettings"),
    ),
    _group(
        "Webhooks",
        _item("Sources", "webhook", "webhooks_webhooksource"),
        _item("Received", "move_to_inbox", "webhooks_webhookdelivery"),
        _item("Endpoints", "send", "webhooks_webhookendpoint"),
        _item("Letters to customers", "mail", "webhooks_customerletter"),
        _item("Sent", "outgoing_mail", "webhooks_outbounddelivery"),
    ),
    _group(
        "Billing",
        _item("Invoices", "request_quote", "billing_invoice"),
        _item("Bill runs", "play_circle", "billing_billrun"),
        _item("Event index", "fingerprint", "billing_billruneventindex"),
        _page("Simulate", "science", "admin:billing_simulate"),
        _item("Simulations", "experiment", "billing_simulation"),
        _item("Billing entities", "account_balance", "catalog_billingentity"),
        _item("Tax rates", "percent", "billing_taxrate"),
    ),
    _group(
        "Tenancy",
        _item("Tenants", "domain", "tenancy_tenant"),
        _item("API keys", "key", "tenancy_apikey"),
        _item("Members", "badge", "tenancy_member"),
        _item("Audit log", "policy", "tenancy_auditentry"),
        _item("Outbox", "outbox", "outbox_outboxmessage"),
        _item("Users", "person", "auth_user", permission=_SUPERUSER),
        _item("Failed logins", "lock", "axes_accessattempt", permission=_SUPERUSER),
    ),
]
