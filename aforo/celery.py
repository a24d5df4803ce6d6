"""The worker process: one Celery application and the one list of periodic work."""

import os

from celery import Celery
from django_structlog.celery.steps import DjangoStructLogInitStep

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aforo.settings")

app = Celery("aforo")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.steps["worker"].add(DjangoStructLogInitStep)
app.autodiscover_tasks()
app.autodiscover_tasks(["webhooks.outbound"])

# Everything periodic, in one place. A sweep makes certain what `enqueue` only makes quick.
app.conf.beat_schedule = {
    "drain-what-waits": {"task": "metering.sweep_inbox", "schedule": 2.0},
    "sync-access": {"task": "metering.sync_access", "schedule": 30.0},
    "close-sessions": {"task": "metering.close_sessions", "schedule": 60.0},
    "carry-out-letter-decisions": {
        "task": "metering.carry_out_letter_decisions",
        "schedule": 30.0,
    },
    "draft-units": {"task": "metering.draft_units", "schedule": 60.0},
    "tell-letter-thresholds": {"task": "metering.tell_letter_thresholds", "schedule": 60.0},
    "expire-dead-letters": {"task": "metering.expire_dead_letters", "schedule": 3600.0},
    "sum-activity": {"task": "metering.sum_activity", "schedule": 60.0},
    "evaluate-margins": {"task": "metering.evaluate_margins", "schedule": 30.0},
    "sum-usage": {"task": "metering.sum_usage", "schedule": 30.0},
    "watch-usage": {"task": "metering.watch_usage", "schedule": 300.0},
    "forget-old-sums": {"task": "metering.forget_old_sums", "schedule": 86_400.0},
    "make-partitions": {"task": "metering.make_partitions", "schedule": 3600.0},
    "extend-periods": {"task": "catalog.extend_periods", "schedule": 600.0},
    "advance-subscriptions": {"task": "catalog.advance_subscriptions", "schedule": 60.0},
    "renew-contracts": {"task": "catalog.renew_contracts", "schedule": 600.0},
    "settle-taxes": {"task": "billing.settle_taxes", "schedule": 60.0},
    "close-periods": {"task": "billing.close_periods", "schedule": 60.0},
    "resume-bill-runs": {"task": "billing.resume_bill_runs", "schedule": 10.0},
    "expire-bill-runs": {"task": "billing.expire_bill_runs", "schedule": 3600.0},
    "issue-due-drafts": {"task": "billing.issue_due_drafts", "schedule": 60.0},
    "mark-overdue": {"task": "billing.mark_overdue", "schedule": 300.0},
    "invoice-thresholds": {"task": "billing.invoice_thresholds", "schedule": 60.0},
    "resume-uploads": {"task": "metering.sweep_uploads", "schedule": 10.0},
    "map-pushes-that-wait": {"task": "webhooks.ask_again", "schedule": 5.0},
    "watch-webhook-sources": {"task": "webhooks.watch_sources", "schedule": 60.0},
    "forget-pushes": {"task": "webhooks.forget_pushes", "schedule": 3600.0},
    "reseal-webhook-secrets": {"task": "webhooks.reseal_secrets", "schedule": 3600.0},
    "keep-tokens": {"task": "tenancy.keep_tokens", "schedule": 30.0},
    "write-gateway-policies": {"task": "catalog.write_gateway_policies", "schedule": 30.0},
    "note-key-use": {"task": "tenancy.note_key_use", "schedule": 60.0},
    "forget-old-answers": {"task": "api.forget_old_answers", "schedule": 3600.0},
    "retire-old-months": {"task": "metering.retire_old_months", "schedule": 86_400.0},
    "carry-out-messages": {"task": "webhooks.carry", "schedule": 5.0},
    "write-to-customers": {"task": "webhooks.write_to_customers", "schedule": 60.0},
    "forget-deliveries": {"task": "webhooks.forget_deliveries", "schedule": 3600.0},
    "check-invariants": {"task": "billing.check_invariants", "schedule": 3600.0},
}


@app.task(name="aforo.ping")
def ping() -> str:
    """Answer "pong": a worker is up and the broker carries messages both ways."""
    return "pong"
