from django.db import migrations

# Lists of events: a tenant's by time (0.5 to 1 us per event of the drain), unbilled ones by customer
# (nothing for an event that is billed), rare keys by a summary of each half megabyte (nothing until
# it is vacuumed).
INDEXES = """
    CREATE INDEX usage_events_of_tenant ON usage_events (tenant_id, occurred_at, id);
    CREATE INDEX usage_events_unbilled ON usage_events (customer_id) WHERE running_total_id IS NULL;
    CREATE INDEX usage_events_by_key ON usage_events
        USING brin (idempotency_key text_bloom_ops, batch_id uuid_minmax_ops)
        WITH (pages_per_range = 64);
"""
NO_INDEXES = """
    DROP INDEX usage_events_of_tenant, usage_events_unbilled, usage_events_by_key;
"""
# Summaries are made by vacuum: with the usual fifth of a month's rows between two of them, the
# newest millions would be read one by one. Rows never change, so each page is still read once.
VACUUM = """
    DO $$
    DECLARE
        part regclass;
    BEGIN
        FOR part IN SELECT inhrelid::regclass FROM pg_inherits
                    WHERE inhparent = 'usage_events'::regclass LOOP
            EXECUTE format(
                'ALTER TABLE %s SET (autovacuum_vacuum_insert_scale_factor = 0,'
                ' autovacuum_vacuum_insert_threshold = 200000)', part);
        END LOOP;
    END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("metering", "0006_late_usage")]

    operations = [
        migrations.RunSQL(INDEXES, NO_INDEXES),
        migrations.RunSQL(VACUUM, migrations.RunSQL.noop),
    ]
