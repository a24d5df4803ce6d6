from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metering", "0002_partitions")]
    operations = [
        migrations.AddField(
            model_name="receipt",
            name="refusals",
            field=models.JSONField(help_text="[[index, code], ...] of the dead ones", null=True),
        ),
    ]
