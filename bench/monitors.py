"""How long monitors and live revenue take over 10,000 customers with five units each.

    python bench/monitors.py            about two minutes, most of which writes the rows
    python bench/monitors.py --quick    a smoke run over 500 customers

One tenant whose customers use every unit in every hour: two weeks of days, the hours at both ends
of the baseline, and the totals of the running month. One in a hundred has an unusual hour, one in
fifty dropped to a quarter and has used up what is included. Each monitor then looks once, in one
process.
"""

import argparse
import json
from datetime import UTC, datetime

import psycopg

import sellers
from installation import Installation, run_among_servers
from report import Report, Target
from sql import row

CUSTOMERS, QUICK = 10_000, 500
UNITS = 5
TARGETS = {
    "anomalies": Target("one hour judged", 10, 3, at_most=True, unit=" s"),
    "drops": Target("one week judged", 5, 2, at_most=True, unit=" s"),
    "paces": Target("allowances judged", 10, 3, at_most=True, unit=" s"),
    "health": Target("health of all units", 5, 2, at_most=True, unit=" s"),
    "revenue": Target("live revenue of the tenant", 10, 2, at_most=True, unit=" s"),
    "by_customer": Target("live revenue by customer", 3, 1, at_most=True, unit=" s"),
    "asked_again": Target("live revenue asked again", 0.05, 0.01, at_most=True, unit=" s"),
}
_MORE = """
    CREATE TEMP TABLE people AS
        SELECT g, uuidv7() AS customer_id, uuidv7() AS subscription_id
        FROM generate_series(2, {customers}) AS g;
    INSERT INTO billable_units SELECT (jsonb_populate_record(u, jsonb_build_object(
        'id', uuidv7(), 'name', 'sessions'))).* FROM billable_units u WHERE u.name = 'calls';
    INSERT INTO customers SELECT (jsonb_populate_record(c, jsonb_build_object(
        'id', p.customer_id, 'external_id', 'cus_' || p.g))).* FROM customers c, people p;
    INSERT INTO subscriptions SELECT (jsonb_populate_record(s, jsonb_build_object(
        'id', p.subscription_id, 'customer_id', p.customer_id))).* FROM subscriptions s, people p;
    INSERT INTO subscription_plans SELECT (jsonb_populate_record(q, jsonb_build_object(
        'id', uuidv7(), 'subscription_id', p.subscription_id))).*
        FROM subscription_plans q, people p;
    INSERT INTO subscription_periods SELECT (jsonb_populate_record(q, jsonb_build_object(
        'id', uuidv7(), 'subscription_id', p.subscription_id))).*
        FROM subscription_periods q, people p;
"""
# About 100 an hour for everybody, in a wave of 24 hours; a day is the sum of its hours.
_HOURS = """
    INSERT INTO hourly_usage (tenant_id, hour, subscription_id, unit_id, customer_id, quantity,
        event_count, revenue, first_event_id, last_event_id)
    SELECT s.tenant_id, h.at, s.id, u.id, s.customer_id,
           100 + round(10 * sin(extract(hour FROM h.at)))
               + CASE WHEN h.at = %(hour)s AND hashtext(s.id::text) %% 100 = 0 THEN 900 ELSE 0 END,
           20, 1.25, 1, 2
    FROM generate_series(%(since)s::timestamptz, %(until)s, interval '1 hour') AS h (at),
         subscriptions s, billable_units u
"""
_DAYS = """
    INSERT INTO daily_usage (tenant_id, day, subscription_id, unit_id, customer_id, quantity,
        event_count, revenue, hours, level, squares, first_event_id, last_event_id)
    SELECT s.tenant_id, d.at::date, s.id, u.id, s.customer_id, 2400 * v.part, 480, 30, 24,
           2400 * v.part, 241200 * v.part * v.part, 1, 2
    FROM generate_series(%(hour)s::date - 15, %(hour)s::date, interval '1 day') AS d (at),
         subscriptions s, billable_units u
    CROSS JOIN LATERAL (SELECT CASE WHEN hashtext(s.id::text) %% 50 = 0
        AND d.at >= %(hour)s::date - 7 THEN 0.25 ELSE 1 END AS part) AS v
"""
_TOTALS = """
    INSERT INTO running_totals (tenant_id, subscription_id, plan_version_id, unit_id, dimension,
        period_id, quantity, event_count, rollover, revenue, cost, position, digest)
    SELECT s.tenant_id, s.id, x.version_id, x.unit_id, '', p.id,
           CASE WHEN x.terms ? 'includedFree' AND hashtext(s.id::text) %% 50 <> 0 THEN 1
                ELSE 1000 END, 200, 0, 12.5, 0, 200,
           decode(md5(s.id::text) || md5(x.id::text), 'hex')
    FROM subscriptions s
    JOIN subscription_periods p ON p.subscription_id = s.id
        AND p.start_at <= %(hour)s AND p.end_at > %(hour)s
    CROSS JOIN unit_prices x
"""
# Runs inside the product, in one process; only looking is timed.
_LOOK = """
import json, time
from datetime import datetime, timedelta
from aforo.tenancy.models import Tenant
from metering.models import Alert, MonitorSettings
from metering.monitors.anomalies import find_anomalies
from metering.monitors.drops import find_drops
from metering.monitors.health import take_health
from metering.monitors.pacing import find_paces
from metering.selectors.revenue import live_revenue
from metering.selectors.revenue_groups import GroupBy
from metering.selectors.revenue_kept import revenue_told
tenant, told = Tenant.objects.get(), MonitorSettings()
hour = datetime.fromisoformat("{hour}")
now = hour + timedelta(hours=1)
midnight = hour.replace(hour=0)
looks = dict(
    anomalies=lambda: find_anomalies(tenant=tenant, settings=told, hour=hour, now=now),
    drops=lambda: find_drops(tenant=tenant, settings=told, end=midnight, now=now),
    paces=lambda: find_paces(tenant=tenant, settings=told, now=now),
    health=lambda: take_health(tenant=tenant, now=now, at=now),
    revenue=lambda: len(live_revenue(tenant=tenant, now=now, by=GroupBy.TENANT).rows),
    by_customer=lambda: live_revenue(tenant=tenant, now=now, by=GroupBy.CUSTOMER).total,
    asked_again=lambda: len(revenue_told(tenant=tenant, now=now, by=GroupBy.TENANT).rows),
)
revenue_told(tenant=tenant, now=now, by=GroupBy.TENANT)
found = dict()
for name, look in looks.items():
    began, used = time.perf_counter(), time.process_time()
    count = look()
    found[name] = [time.perf_counter() - began, time.process_time() - used, count]
print("FOUND", json.dumps(found))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="500 customers")
    customers = QUICK if parser.parse_args().quick else CUSTOMERS
    run_among_servers()
    installation = Installation.prepare()
    report = Report(installation.settings())
    report.print_head()
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    with installation.connect(synchronous=False) as connection:
        behind = fill(connection, customers, hour)
    printed = installation.manage("shell", "-v", "0", "-c", _LOOK.format(hour=hour.isoformat()))
    (line,) = (one for one in printed.splitlines() if one.startswith("FOUND "))
    for name, (seconds, used, count) in json.loads(line.removeprefix("FOUND ")).items():
        of_it = f"{used:.2f} s of them in Python"
        report.add(TARGETS[name], [seconds], f"{count:,} found; {of_it}; {behind}")


def fill(connection: psycopg.Connection, customers: int, hour: datetime) -> str:
    """The rows of one tenant with so many customers, as drains and sums leave them."""
    sellers.create(connection, now=hour, tenants=1, metrics=UNITS - 1, subscriptions=1)
    connection.execute(_MORE.format(customers=customers))
    about = {"hour": hour}
    since = f"{hour:%Y-%m-%d}T00:00:00+00:00"
    connection.execute(_DAYS, about)
    connection.execute(_HOURS, about | {"since": since, "until": hour})
    first = "INTERVAL '14 days'"
    ends = f"SELECT %(hour)s::timestamptz - {first}, (%(hour)s::date - 13) - INTERVAL '1 hour'"
    start, end = row(connection, ends.replace("%(hour)s", f"'{hour.isoformat()}'"))
    connection.execute(_HOURS, about | {"since": start, "until": end})
    connection.execute(_TOTALS, about)
    connection.execute("ANALYZE")
    hours, days = row(
        connection, "SELECT (SELECT count(*) FROM hourly_usage), (SELECT count(*) FROM daily_usage)"
    )
    return f"{customers * UNITS:,} pairs, {days:,} rows of days and {hours:,} of hours"


if __name__ == "__main__":
    main()
