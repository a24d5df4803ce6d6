"""The audit export: proven by its own program, without anything of ours, or not at all."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tracemalloc
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aforo.tenancy.models import AuditEntry
from billing.exports.archive import zipped
from billing.exports.audit import audit_export
from billing.models import Invoice
from billing.services.invoices import bill_periods
from tests.billing.build import bill_run, priced_subscription
from tests.billing.exports.dossiers import judged, unpacked
from tests.billing.metered import meter
from tests.clients import operator_client
from tests.factories import TenantFactory

NOW = datetime(2026, 4, 2, tzinfo=UTC)
GRADUATED = {
    "model": "GRADUATED",
    "tiers": [{"tierEnd": "100", "unitPrice": "0.03"}, {"tierEnd": -1, "unitPrice": "0.025"}],
}
PER_CALL = {"model": "PER_UNIT", "rate": "1", "includedFree": "2"}
USERS = {0: '{"user":"größer"}', 1: '{"user":"b"}', 2: '{"user":"größer"}'}


def billed(*prices, quantities=("60.5", 50, 40), **fields):
    period, units = priced_subscription(*(prices or (GRADUATED, PER_CALL)), **fields)
    for unit in units:
        meter(period, unit, quantities, metadata=USERS)
    run = bill_run(period.tenant, auto_finalize=True, status="COMPLETED")
    bill_periods(run=run, period_ids=[period.id], now=NOW)
    return Invoice.objects.get(period=period)


def verified(folder):
    """What verify.py says, run by a bare interpreter that knows nothing but its own library."""
    return subprocess.run(
        [sys.executable, "-I", "-S", str(folder / "verify.py")],
        cwd=folder, env={}, capture_output=True, text=True,
        encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize("aggregation", ["COUNT", "SUM", "MAX", "UNIQUE"])
def test_an_untouched_export_is_proven_without_us(aggregation, tmp_path):
    invoice = billed(aggregation=aggregation, base_fee="10", discount_percent="5")
    said = verified(unpacked(invoice, tmp_path))
    assert said.returncode == 0, said.stdout + said.stderr
    assert said.stdout.startswith(f"OK  invoice {invoice.number}: 4 lines, 6 events, total ")
    assert f"sha256:{bytes(invoice.digest).hex()}" in said.stdout
    assert said.stderr == ""


@pytest.mark.django_db
def test_the_same_invoice_gives_the_same_bytes():
    invoice = billed()
    assert b"".join(audit_export(invoice)) == b"".join(audit_export(invoice))


@pytest.mark.django_db
def test_an_invoice_without_usage_is_proven(tmp_path):
    assert verified(unpacked(billed(GRADUATED, quantities=()), tmp_path)).returncode == 0


@pytest.mark.django_db
def test_only_the_keys_of_its_own_totals_are_disclosed(tmp_path):
    folder = unpacked(billed(), tmp_path)
    billed()
    totals = {
        span["runningTotalId"] for line in listed(folder, "lines.json") for span in line["spans"]
    }
    assert {entry["runningTotalId"] for entry in listed(folder, "keys.json")} == totals
    secrets = [
        bytes(tenant.hash_secret).hex() for tenant in TenantFactory._meta.model.objects.all()
    ]
    everything = "".join(path.read_text() for path in tmp_path.iterdir())
    assert not [secret for secret in secrets if secret in everything]


def listed(folder, name):
    return json.loads((folder / name).read_text())


def edited(folder, name, old, new, *, count=1):
    path = folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, count))


LINE = "lines.json, line 2, "
FORGERIES = [
    ("events-1.ndjson", '"quantity":"50"', '"quantity":"5"', "events-1.ndjson, line 2, digest"),
    ("events-1.ndjson", '"late":false', '"late":true', "events-1.ndjson, line 1, digest"),
    ("lines.json", '"quantity":"150.5"', '"quantity":"1"', LINE + "quantity"),
    ("lines.json", '"exactAmount":"4.2625"', '"exactAmount":"4"', LINE + "exactAmount"),
    ("lines.json", '"amount":"4.26"', '"amount":"4.27"', LINE + "amount"),
    ("lines.json", '"unitPrice":"0.03"', '"unitPrice":"0.04"', LINE + "charges[0].amount"),
    ("lines.json", '"tierEnd":"100"', '"tierEnd":"90"', LINE + "terms"),
    ("invoice.json", '"total":"152.76"', '"total":"1.00"', "invoice.json, line 11, total"),
    ("invoice.json", '"digest":"', '"digest":"0', "digest"),
    ("terms.json", '"aggregation":"SUM"', '"aggregation":"MAX"', LINE + "spans[0].quantity"),
]  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize(("file", "old", "new", "place"), FORGERIES)
def test_a_forger_who_mends_the_manifest_is_found_out_by_the_figures(
    file, old, new, place, tmp_path
):
    folder = unpacked(billed(aggregation="SUM"), tmp_path)
    edited(folder, file, old, new)
    mend(folder)
    said = verified(folder)
    assert said.returncode == 1
    assert place in said.stdout


def mend(folder):
    """A manifest that agrees with whatever is there now."""
    names = listed(folder, "manifest.json")["files"]
    digests = {name: digest_of(folder / name) for name in names}
    text = json.dumps(digests, separators=(",", ":"))
    (folder / "manifest.json").write_text('{\n"files":' + text + "\n}\n")


def digest_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.django_db
@pytest.mark.parametrize("file", ["events-1.ndjson", "keys.json", "verify.py", "terms.json"])
def test_a_file_that_is_gone_is_named(file, tmp_path):
    folder = unpacked(billed(), tmp_path)
    program = folder / "verify.py"
    shutil.copy(program, folder / "other.py")
    (folder / file).unlink()
    shutil.copy(folder / "other.py", program)
    (folder / "verify.py").unlink() if file == "verify.py" else None
    said = subprocess.run(
        [sys.executable, "-I", "-S", str(folder / "other.py"), str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said.returncode == 1
    assert f"{file}: is named by manifest.json and not there" in said.stdout


@pytest.fixture(scope="module")
def exported(django_db_setup, django_db_blocker, tmp_path_factory):
    """One export for all examples of a property; nothing of it stays in the database."""
    with django_db_blocker.unblock(), transaction.atomic():
        folder = unpacked(billed(base_fee="3"), tmp_path_factory.mktemp("export"))
        transaction.set_rollback(True)
    return folder


@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_single_changed_byte_is_named_with_its_file(exported, data):
    files = sorted(path.name for path in exported.iterdir() if path.suffix in (".json", ".ndjson"))
    name = data.draw(st.sampled_from(files))
    path = exported / name
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[at]))
    path.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
    try:
        code, said = judged(exported)
    finally:
        path.write_bytes(whole)
    assert code == 1
    assert name in said


@pytest.mark.django_db
def test_an_export_is_taken_over_http_by_those_who_answer_for_money_and_noted(tmp_path):
    invoice = billed()
    path = f"/api/v1/invoices/{invoice.id}/audit-export"
    answer = operator_client(invoice.tenant, role="BILLING_ADMIN").get(path)
    assert answer["Content-Type"] == "application/zip"
    assert f"{invoice.number}-audit.zip" in answer["Content-Disposition"]
    (tmp_path / "export.zip").write_bytes(b"".join(answer.streaming_content))
    assert "verify.py" in zipfile.ZipFile(tmp_path / "export.zip").namelist()
    assert AuditEntry.objects.get(action="INVOICE_EXPORTED").target_id == str(invoice.id)
    for role in ("MEMBER", "DEVELOPER", "PRODUCT_MANAGER"):
        assert operator_client(invoice.tenant, role=role).get(path).status_code == 403
    assert operator_client(TenantFactory(), role="OWNER").get(path).status_code == 404
    assert AuditEntry.objects.filter(action="INVOICE_EXPORTED").count() == 1


def test_a_zip_is_sent_while_it_is_made_in_flat_memory():
    piece = os.urandom(1 << 20)  # does not shrink
    files = [("large.bin", (piece for _ in range(64)))]
    tracemalloc.start()
    size = sum(map(len, zipped(files, at=NOW)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 64 << 20
    assert peak < 16 << 20


def test_the_program_is_one_file_of_the_standard_library():
    path = Path(__file__).parents[3] / "billing/exports/verify.py"
    imports = {
        line.split()[1].split(".")[0]
        for line in path.read_text().splitlines()
        if line.startswith(("import ", "from "))
    }
    assert imports <= sys.stdlib_module_names | {"__future__"}
