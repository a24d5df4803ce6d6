from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0005_customer_letters")]

    operations = [
        migrations.AddField(
            model_name="webhookdelivery",
            name="tries",
            field=models.IntegerField(
                db_default=0, default=0, help_text="mappings of it that broke down since it came"
            ),
        ),
        migrations.AddField(
            model_name="webhookdelivery",
            name="due_at",
            field=models.DateTimeField(
                editable=False,
                help_text="while it waits: asked for again from then on",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="webhookdelivery",
            name="forgotten_at",
            field=models.DateTimeField(help_text="its payload, on everybody's clock", null=True),
        ),
        migrations.AlterField(
            model_name="webhookdelivery",
            name="payload",
            field=models.BinaryField(
                help_text="as it came but for credentials, lz4 frame; empty once it is forgotten"
            ),
        ),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=models.Index(
                condition=models.Q(("forgotten_at", None)),
                fields=["arrived_at"],
                name="deliveries_with_payload",
            ),
        ),
    ]
