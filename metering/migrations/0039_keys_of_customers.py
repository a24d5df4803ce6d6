from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0038_guarded_customers"),
    ]

    operations = [
        migrations.AddField(
            model_name="inboxbatch",
            name="customer_id",
            field=models.UUIDField(
                help_text="whose usage alone it may bring: that of the key's subscription",
                null=True,
            ),
        ),
    ]
