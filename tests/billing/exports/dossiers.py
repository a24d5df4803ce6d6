"""Audit exports taken apart, and what verify.py says of them."""

import io
import zipfile
from contextlib import redirect_stdout
from decimal import localcontext

from billing.exports import verify
from billing.exports.audit import audit_export


def unpacked(invoice, folder):
    """The export of an invoice in a folder."""
    with zipfile.ZipFile(io.BytesIO(b"".join(audit_export(invoice)))) as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
    return folder


def judged(folder):
    """(exit code, what it says), within this process."""
    said = io.StringIO()
    with localcontext(), redirect_stdout(said):
        code = verify.main(["verify.py", str(folder)])
    return code, said.getvalue()
