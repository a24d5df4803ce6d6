from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metering", "0010_costs_by_age")]

    operations = [
        migrations.AddIndex(
            model_name="deadletter",
            index=models.Index(
                fields=["tenant", "customer", "id"], name="dead_letters_of_customer"
            ),
        ),
    ]
