import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metering", "0007_usage_lists")]

    operations = [
        migrations.CreateModel(
            name="UploadBatch",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "first_row",
                    models.BigIntegerField(help_text="how many rows stand before them"),
                ),
                ("batch_id", models.UUIDField()),
                (
                    "upload",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="batches",
                        to="metering.upload",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "upload batches",
                "db_table": "upload_batches",
                "ordering": ("upload", "first_row"),
                "constraints": [
                    models.UniqueConstraint(fields=("upload", "first_row"), name="rows_go_in_once")
                ],
            },
        ),
    ]
