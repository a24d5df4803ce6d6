import aforo.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0036_who_is_told_of_margins"),
    ]

    operations = [
        # Rows that are there already stay empty: nobody looked at costs when they were written.
        migrations.AddField(
            model_name="ratingadjustment",
            name="cost",
            field=aforo.fields.ExactDecimalField(null=True),
        ),
        migrations.AlterField(
            model_name="ratingadjustment",
            name="cost",
            field=aforo.fields.ExactDecimalField(
                db_default=0, help_text="empty: written before costs followed", null=True
            ),
        ),
        migrations.AddField(
            model_name="ratingadjustment",
            name="moved_values",
            field=models.JSONField(
                help_text="of UNIQUE, hashes that came or left when levels went over once more",
                null=True,
            ),
        ),
    ]
