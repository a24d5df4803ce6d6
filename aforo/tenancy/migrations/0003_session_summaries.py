from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0002_ingest_policies")]

    operations = [
        migrations.AddField(
            model_name="tenant",
            name="session_summaries",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="send one event with the sums of each session when it has closed",
            ),
        ),
    ]
