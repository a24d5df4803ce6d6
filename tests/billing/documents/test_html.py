"""The page: what is on it, and that it needs and runs nothing else."""

import re
from dataclasses import replace
from decimal import Decimal

from billing.documents import DocumentLine, render_html
from tests.billing.documents.build import BUYER, document, draft

HOSTILE = "<script>alert(1)</script>\"'&{{ 7|add:7 }}"
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#x27;&amp;{{ 7|add:7 }}"


def cells(page):
    """Rows of the page's tables as the texts of their cells."""
    rows = re.findall(r"<tr.*?</tr>", page, re.DOTALL)
    return [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in rows]


def test_lines_stand_above_what_explains_them():
    rows = cells(render_html(document()))
    at = rows.index(["Inference: input_tokens", "3,684,096", "", "$9.368192", "$9.37"])
    assert rows[at + 1 : at + 5] == [
        ["tier 1", "1,000,000", "$0.000003", "$3.00", ""],
        ["tier 2", "2,000,000", "$0.0000025", "$5.00", ""],
        ["tier 3", "684,096", "$0.000002", "$1.368192", ""],
        ["proven by 1,764 events"],
    ]
    assert rows[-3:] == [["Subtotal", "$63.07"], ["Tax", "$0.00"], ["Total", "$63.07"]]


def test_the_proof_is_printed_with_the_way_to_check_it():
    page = render_html(document())
    assert f"<code>sha256:{bytes(range(32)).hex()}</code>" in page
    assert "<code>aforo verify INV-2023-0001</code>" in page


def test_the_page_is_self_contained():
    page = render_html(document())
    assert not re.search(r"<script|<link|<img|<iframe|src=|href=|url\(|@import", page)


def test_names_are_escaped():
    hostile = replace(BUYER, name=HOSTILE, address=HOSTILE, tax_number=HOSTILE, reference=HOSTILE)
    line = DocumentLine(HOSTILE, Decimal(1), Decimal(1))
    page = render_html(
        document(lines=(line,), buyer=hostile, seller=hostile, number=f"</style>{HOSTILE}")
    )
    assert "<script" not in page
    assert page.count("</style>") == 1
    assert page.count(ESCAPED) >= 10


def test_a_draft_is_stamped_and_has_no_number():
    page = render_html(draft())
    assert '<div class="stamp" aria-hidden="true"><span>Draft</span></div>' in page
    assert "given when issued" in page
    assert 'class="stamp"' not in render_html(document())


def test_the_status_of_the_day_is_shown():
    assert '<span class="status">Paid</span>' in render_html(document(status="PAID"))


def test_amounts_are_in_the_customers_language():
    page = render_html(document(language="ja", currency="CNY"))
    assert "元\xa063.07" in page


def test_one_event_is_one_event():
    line = DocumentLine("x", Decimal(1), Decimal(1), Decimal(1), (), 1)
    assert "proven by 1 event<" in render_html(document(lines=(line,)))
