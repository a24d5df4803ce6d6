from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0040_letters_of_keys"),
    ]

    operations = [
        migrations.AddField(
            model_name="usagesumming",
            name="pending_since",
            field=models.DateTimeField(help_text="when that was the last id drawn", null=True),
        ),
        migrations.AddField(
            model_name="usagesumming",
            name="summed_at",
            field=models.DateTimeField(db_default=Now()),
        ),
    ]
