from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0016_asking_for_taxes"),
    ]

    operations = [
        migrations.AddField(
            model_name="invoiceline",
            name="ahead",
            field=models.BooleanField(
                help_text="a fee of the next period; a discount of those alone, or of others",
                null=True,
            ),
        ),
    ]
