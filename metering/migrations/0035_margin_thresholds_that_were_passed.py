from django.db import migrations, models

import aforo.fields


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0034_passed_on"),
    ]

    operations = [
        migrations.AddField(
            model_name="marginstate",
            name="threshold",
            field=aforo.fields.ExactDecimalField(
                help_text="the percentage that the margin has fallen below; null: none", null=True
            ),
        ),
        migrations.AlterField(
            model_name="marginstate",
            name="judged_at",
            field=models.DateTimeField(help_text="when these numbers were found"),
        ),
    ]
