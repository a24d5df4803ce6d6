from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0008_cooldowns_of_a_year")]

    operations = [
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=models.Index(
                condition=models.Q(("verdict__in", ("BAD_SIGNATURE", "STALE"))),
                fields=["arrived_at"],
                name="deliveries_nobody_signed",
            ),
        ),
    ]
