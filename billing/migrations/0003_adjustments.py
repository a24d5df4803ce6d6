from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("billing", "0002_keep_spans_and_records")]

    operations = [
        migrations.AddField(
            model_name="invoice",
            name="kind",
            field=models.CharField(
                choices=[("PERIOD", "Period"), ("ADJUSTMENT", "Adjustments alone")],
                db_default="PERIOD",
                default="PERIOD",
                max_length=10,
            ),
        ),
        migrations.RemoveConstraint(model_name="invoice", name="period_is_billed_once"),
        migrations.AddConstraint(
            model_name="invoice",
            constraint=models.UniqueConstraint(
                fields=["period"],
                name="period_is_billed_once",
                condition=Q(kind="PERIOD") & ~Q(status="VOID"),
            ),
        ),
        migrations.AddField(
            model_name="invoiceline",
            name="period_start_at",
            field=models.DateTimeField(
                help_text="of an adjustment: the earlier period whose usage it bills", null=True
            ),
        ),
        migrations.AddField(
            model_name="invoiceline",
            name="period_end_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AlterField(
            model_name="billruneventindex",
            name="first_position",
            field=models.BigIntegerField(help_text="1, or what follows the last billed one"),
        ),
        migrations.AlterField(
            model_name="billruneventindex",
            name="event_count",
            field=models.BigIntegerField(help_text="events, less those that are taken back"),
        ),
        migrations.AddIndex(
            model_name="billruneventindex",
            index=models.Index(
                fields=["running_total_id", "first_position"], name="spans_of_total"
            ),
        ),
    ]
