from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0039_keys_of_customers"),
    ]

    operations = [
        migrations.AddField(
            model_name="deadletter",
            name="customer_id",
            field=models.UUIDField(
                help_text="whose usage alone it may be: that of its key's subscription",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="deadletter",
            name="fingerprint",
            field=models.UUIDField(
                help_text="hash of code, event and customer_id: what makes it the same"
            ),
        ),
    ]
