from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metering", "0008_upload_batches")]

    operations = [
        migrations.CreateModel(
            name="ReceiptSlice",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("tenant_id", models.UUIDField()),
                ("start_at", models.DateTimeField()),
                ("event_count", models.BigIntegerField()),
                ("counted", models.BigIntegerField()),
                ("unbilled", models.BigIntegerField()),
                ("duplicates", models.BigIntegerField()),
                ("dead", models.BigIntegerField()),
                ("held", models.BigIntegerField()),
            ],
            options={
                "db_table": "receipt_slices",
                "ordering": ("-start_at",),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant_id", "start_at"), name="receipts_are_sliced_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="UnitActivity",
            fields=[
                ("unit_id", models.UUIDField(primary_key=True, serialize=False)),
                ("tenant_id", models.UUIDField()),
                ("last_event_at", models.DateTimeField()),
            ],
            options={
                "db_table": "unit_activity",
                "indexes": [models.Index(fields=["tenant_id"], name="unit_activity_of_tenant")],
            },
        ),
        migrations.AddIndex(
            model_name="session",
            index=models.Index(
                condition=models.Q(("closed_at__isnull", False), ("summed_up_at__isnull", True)),
                fields=["tenant", "closed_at"],
                name="sessions_to_sum_up",
            ),
        ),
    ]
