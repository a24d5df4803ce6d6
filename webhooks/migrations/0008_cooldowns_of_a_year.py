from datetime import timedelta

from django.db import migrations, models

SHORTENED = """
    UPDATE {table} SET cooldown = interval '366 days' WHERE cooldown > interval '366 days'
"""


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0007_every_batch_of_a_push")]

    operations = [
        migrations.RunSQL(SHORTENED.format(table="alert_rules"), migrations.RunSQL.noop),
        migrations.RunSQL(SHORTENED.format(table="customer_preferences"), migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="alertrule",
            constraint=models.CheckConstraint(
                condition=models.Q(("cooldown__lte", timedelta(days=366))),
                name="a_cooldown_is_a_year_at_most",
                violation_error_message="a cooldown is at most 366 days",
            ),
        ),
        migrations.AddConstraint(
            model_name="customerpreference",
            constraint=models.CheckConstraint(
                condition=models.Q(("cooldown__lte", timedelta(days=366))),
                name="a_preferred_cooldown_is_a_year_at_most",
                violation_error_message="a cooldown is at most 366 days",
            ),
        ),
    ]
