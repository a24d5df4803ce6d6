import django.db.models.deletion
from django.db import migrations, models

import aforo.ids


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0030_features"),
        ("tenancy", "0005_access_fallback"),
        ("webhooks", "0004_alert_rules"),
    ]

    operations = [
        migrations.CreateModel(
            name="CustomerLetter",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=aforo.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "message_id",
                    models.UUIDField(help_text="of the fact; messages are not kept for good"),
                ),
                ("fact", models.CharField(max_length=64)),
                ("address", models.CharField(max_length=320)),
                ("title", models.CharField(max_length=200)),
                ("text", models.TextField()),
                (
                    "told_at",
                    models.DateTimeField(help_text="when the fact was told, on the tenant's clock"),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("WAITING", "to be sent"),
                            ("SENT", "sent"),
                            ("FAILED", "given up"),
                        ],
                        default="WAITING",
                        max_length=8,
                    ),
                ),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                (
                    "next_attempt_at",
                    models.DateTimeField(help_text="on everybody's clock"),
                ),
                ("last_error", models.CharField(blank=True, max_length=400)),
                ("created_at", models.DateTimeField(help_text="on everybody's clock")),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "customer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="catalog.customer",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenancy.tenant",
                    ),
                ),
            ],
            options={
                "db_table": "customer_letters",
                "ordering": ("-created_at", "-id"),
                "indexes": [
                    models.Index(
                        condition=models.Q(("state", "WAITING")),
                        fields=["next_attempt_at"],
                        name="letters_to_customers_due",
                    ),
                    models.Index(fields=["tenant", "customer", "fact"], name="letters_of_customer"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "message_id"),
                        name="a_customer_is_written_once_of_a_fact",
                    )
                ],
            },
        ),
    ]
