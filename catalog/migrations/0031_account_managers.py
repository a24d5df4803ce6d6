from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0030_features"),
    ]

    operations = [
        migrations.AddField(
            model_name="customer",
            name="account_manager_email",
            field=models.EmailField(
                blank=True,
                db_default="",
                default="",
                help_text="the seller's own colleague, who is written to when a margin guard warns",
                max_length=254,
            ),
        ),
    ]
