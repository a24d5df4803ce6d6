from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0037_costs_follow_adjustments"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="marginstate",
            options={
                "ordering": ("guard", "customer"),
                "verbose_name": "guarded customer",
            },
        ),
    ]
