import aforo.fields
from django.db import migrations, models
from django.db.models import Q

# Until now nothing was appended to a billed total, so each stands where it was billed.
STANDS_WHERE_IT_WAS_BILLED = """
    UPDATE running_totals SET billed_quantity = quantity, billed_event_count = event_count,
        billed_revenue = revenue
    WHERE billed_position IS NOT NULL
"""
# What is not late costs it one look at a boolean.
LATE_EVENTS = """
    CREATE INDEX usage_events_late ON usage_events (tenant_id, id) WHERE late
"""


class Migration(migrations.Migration):
    dependencies = [("metering", "0005_dead_letters_decided")]

    operations = [
        migrations.CreateModel(
            name="LateTotal",
            fields=[
                ("running_total_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("tenant_id", models.UUIDField()),
                ("subscription_id", models.UUIDField()),
                (
                    "deferred_at",
                    models.DateTimeField(
                        help_text="when a run found that it would take the invoice below zero",
                        null=True,
                    ),
                ),
            ],
            options={
                "db_table": "late_totals",
                "indexes": [
                    models.Index(
                        fields=["tenant_id", "subscription_id"], name="late_totals_of_subscription"
                    )
                ],
            },
        ),
        migrations.AddField(
            model_name="runningtotal",
            name="billed_quantity",
            field=aforo.fields.ExactDecimalField(help_text="quantity at the watermark", null=True),
        ),
        migrations.AddField(
            model_name="runningtotal",
            name="billed_event_count",
            field=models.BigIntegerField(help_text="event_count at the watermark", null=True),
        ),
        migrations.AddField(
            model_name="runningtotal",
            name="billed_revenue",
            field=aforo.fields.ExactDecimalField(help_text="revenue at the watermark", null=True),
        ),
        migrations.AlterField(
            model_name="runningtotal",
            name="event_count",
            field=models.BigIntegerField(
                default=0, help_text="events that stand: a taken back one does not"
            ),
        ),
        migrations.RunSQL(STANDS_WHERE_IT_WAS_BILLED, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="runningtotal",
            constraint=models.CheckConstraint(
                name="watermark_says_what_stood_there",
                condition=Q(
                    billed_position__isnull=True,
                    billed_quantity__isnull=True,
                    billed_event_count__isnull=True,
                    billed_revenue__isnull=True,
                )
                | Q(
                    billed_position__isnull=False,
                    billed_quantity__isnull=False,
                    billed_event_count__isnull=False,
                    billed_revenue__isnull=False,
                ),
            ),
        ),
        migrations.AddIndex(
            model_name="heldevent",
            index=models.Index(fields=["batch_id", "batch_index"], name="held_events_of_event"),
        ),
        migrations.RemoveConstraint(model_name="correction", name="event_is_taken_back_once"),
        migrations.AddField(
            model_name="correction",
            name="action_id",
            field=models.UUIDField(help_text="what was decided together"),
        ),
        migrations.AlterField(
            model_name="correction",
            name="running_total_id",
            field=models.BigIntegerField(help_text="null: the event was unbilled", null=True),
        ),
        migrations.AlterField(
            model_name="correction",
            name="position",
            field=models.BigIntegerField(help_text="where the wrong event stands", null=True),
        ),
        migrations.AlterField(
            model_name="correction",
            name="void_position",
            field=models.BigIntegerField(
                help_text="where the row stands that takes it back", null=True
            ),
        ),
        migrations.AddConstraint(
            model_name="correction",
            constraint=models.UniqueConstraint(
                fields=["event_id"], name="event_is_taken_back_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="correction",
            constraint=models.UniqueConstraint(
                fields=["running_total_id", "position"], name="position_is_taken_back_once"
            ),
        ),
        migrations.RunSQL(LATE_EVENTS, "DROP INDEX usage_events_late"),
    ]
