import django.contrib.postgres.fields
import django.contrib.postgres.indexes
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0006_tries_and_forgetting")]

    operations = [
        migrations.AddField(
            model_name="webhookdelivery",
            name="later_batches",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.UUIDField(),
                blank=True,
                db_default=[],
                default=list,
                help_text="its batches since it was replayed",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="webhookdelivery",
            name="batch_id",
            field=models.UUIDField(
                help_text="its first batch in the inbox, if it has one", null=True
            ),
        ),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=django.contrib.postgres.indexes.GinIndex(
                condition=models.Q(("replays__gt", 0)),
                fields=["later_batches"],
                name="deliveries_of_later_batches",
            ),
        ),
    ]
