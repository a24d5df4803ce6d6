import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0003_session_summaries")]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="source",
            field=models.CharField(
                db_default="API",
                default="API",
                help_text=(
                    "who sends with it, as billable units name their sources: SDK, GATEWAY ..."
                ),
                max_length=16,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[A-Z][A-Z0-9_]*$", "capital letters, digits and _"
                    )
                ],
            ),
        ),
    ]
