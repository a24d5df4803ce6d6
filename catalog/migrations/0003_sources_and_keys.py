from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("catalog", "0002_part_of_a_period")]

    operations = [
        migrations.AddField(
            model_name="billableunit",
            name="allowed_sources",
            field=models.JSONField(
                blank=True, default=list, help_text="who may send its events; empty: everybody"
            ),
        ),
        migrations.AddField(
            model_name="billableunit",
            name="key_fields",
            field=models.JSONField(
                blank=True,
                default=list,
                help_text="fields that make the key of an event which comes without one",
            ),
        ),
    ]
