import django.contrib.postgres.fields
from django.db import migrations, models

CHANNELS = [("WEBHOOK", "Signed webhooks"), ("SLACK", "Slack-compatible"), ("EMAIL", "E-mail")]


def channels(level):
    return django.contrib.postgres.fields.ArrayField(
        base_field=models.CharField(choices=CHANNELS, max_length=16),
        blank=True,
        db_default=[],
        default=list,
        help_text=f"which endpoints are told that {level}; none: all that take the fact",
        size=None,
    )


class Migration(migrations.Migration):
    dependencies = [
        ("metering", "0035_margin_thresholds_that_were_passed"),
    ]

    operations = [
        migrations.AddField("marginguard", "warn_channels", channels("a customer is warned of")),
        migrations.AddField("marginguard", "throttle_channels", channels("one is throttled")),
        migrations.AddField("marginguard", "block_channels", channels("one is blocked")),
        migrations.AddField(
            model_name="marginguard",
            name="requests_per_second",
            field=models.DecimalField(
                blank=True,
                decimal_places=3,
                help_text=(
                    "that gateways which can count let through while throttled; empty: the share"
                ),
                max_digits=12,
                null=True,
            ),
        ),
        migrations.AddConstraint(
            model_name="marginguard",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("requests_per_second", None),
                    ("requests_per_second__gt", 0),
                    _connector="OR",
                ),
                name="margin_guard_lets_something_through",
            ),
        ),
    ]
