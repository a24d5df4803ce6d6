from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0009_pushes_nobody_signed")]

    operations = [
        migrations.AlterField(
            model_name="webhookdelivery",
            name="refused_count",
            field=models.IntegerField(
                db_default=0,
                default=0,
                help_text="events of it that were refused before any contract was looked at",
            ),
        ),
    ]
