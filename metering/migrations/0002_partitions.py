"""The months around today; `metering.make_partitions` makes the later ones."""

from django.db import migrations

MONTHS = """
    DO $$
    DECLARE
        first timestamptz := date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
        month timestamptz;
    BEGIN
        FOR n IN -4..2 LOOP
            month := ((first AT TIME ZONE 'UTC') + make_interval(months => n)) AT TIME ZONE 'UTC';
            EXECUTE format(
                'CREATE TABLE IF NOT EXISTS %I PARTITION OF usage_events FOR VALUES FROM (%L) TO (%L)',
                'usage_events_' || to_char(month AT TIME ZONE 'UTC', 'YYYYMM'),
                month,
                ((month AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC');
        END LOOP;
    END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("metering", "0001_initial")]
    operations = [migrations.RunSQL(MONTHS, migrations.RunSQL.noop)]
