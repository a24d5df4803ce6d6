"""The PDF: what is on it, on which page, and that it is always the same."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO

import pytest
from pypdf import PdfReader

from billing.documents import DocumentLine, render_pdf
from tests.billing.documents.build import BUYER, LINES, SELLER, document, draft

NUMBERED = tuple(replace(LINES[1], description=f"Line number {number}") for number in range(40))


def pages_of(given):
    """The text of each page, its runs of white space as single spaces."""
    pages = PdfReader(BytesIO(render_pdf(given))).pages
    return [" ".join(page.extract_text().replace("\u200b", "").split()) for page in pages]


def test_everything_that_is_owed_and_why_is_on_the_paper():
    (text,) = pages_of(document())
    for words in (
        "Aforo Cloud GmbH",
        "20457 Hamburg Germany",
        "Tax number DE123456789",
        "Northwind Analytics",
        "INV-2023-0001",
        "December 1, 2023",
        "Due by December 15, 2023",
        "Inference: input_tokens 3,684,096 $9.368192 $9.37",
        "tier 2 2,000,000 $0.0000025 $5.00",
        "tier 3 684,096 $0.000002 $1.368192",
        "overage, 8 blocks of 100 at 0.5 764 $4.00",
        "proven by 1,764 events",
        "Subtotal $63.07",
        "Tax $0.00",
        "Total $63.07",
        f"sha256:{bytes(range(32)).hex()}",
        "aforo verify INV-2023-0001",
        "Page 1 of 1",
    ):
        assert words in text


def test_a_discount_is_shown_when_there_is_one():
    discounted = document(discount_total=Decimal("3.07"), total=Decimal(60))
    assert "Discount -$3.07 Tax $0.00 Total $60.00" in pages_of(discounted)[0]
    assert "Discount" not in pages_of(document())[0]


def test_amounts_are_in_the_customers_language():
    (text,) = pages_of(document(language="de-DE", currency="EUR"))
    assert "Total 63,07 €" in text
    assert "1. Dezember 2023" in text


@pytest.mark.parametrize("language", ["ja", "zh-Hant", "ar", "hi"])
def test_amounts_are_in_english_where_no_font_would_show_them(language):
    (text,) = pages_of(document(language=language, currency="CNY"))
    assert "Total CN¥63.07" in text


@pytest.mark.parametrize(
    ("given", "stamp", "verify"),
    [
        (draft(), "DRAFT", "aforo verify 01890a5d-ac96-774b-bcce-b302099a8057"),
        (document(status="VOID"), "VOID", "aforo verify INV-2023-0001"),
    ],
)
def test_what_is_not_owed_is_stamped(given, stamp, verify):
    (text,) = pages_of(given)
    assert stamp in text
    assert verify in text


def test_an_issued_invoice_is_not_stamped():
    assert not {"DRAFT", "VOID"} & set(pages_of(document())[0].split())


def test_forty_lines_run_over_pages_that_repeat_their_head():
    pages = pages_of(document(lines=NUMBERED))
    assert len(pages) > 3
    for number, text in enumerate(pages, start=1):
        assert f"Page {number} of {len(pages)}" in text
    for text in pages[1:-1]:
        assert "Aforo Cloud Invoice INV-2023-0001" in text
        assert "BEFORE ROUNDING" in text.upper()


def test_a_line_stays_with_what_explains_it():
    pages = pages_of(document(lines=NUMBERED))
    for text in pages:
        assert text.count("Line number") == text.count("tier 3") == text.count("proven by")


def test_a_line_with_more_tiers_than_a_page_is_still_drawn_whole():
    tiers = tuple(replace(LINES[1].charges[0], label=f"tier no {number}.") for number in range(150))
    text = " ".join(pages_of(document(lines=(replace(LINES[1], charges=tiers),))))
    assert all(f"tier no {number}." in text for number in range(150))


def test_long_names_and_figures_stay_on_the_paper():
    largest = Decimal("123456789012345678901234.123456789012")
    line = DocumentLine("completions_with_context" * 9, Decimal(1), largest, largest)
    given = document(lines=(line,), buyer=replace(BUYER, name="W" * 200, address="x" * 300))
    for page in PdfReader(BytesIO(render_pdf(given))).pages:
        starts = []
        page.extract_text(visitor_text=lambda *run: starts.append(run[2][4]))  # noqa: B023 - used at once
        assert 0 <= min(starts) <= max(starts) < page.mediabox.width


@pytest.mark.parametrize(("country", "width"), [("DE", 595), ("US", 612)])
def test_paper_is_that_of_the_sellers_country(country, width):
    pdf = render_pdf(document(seller=replace(SELLER, country=country)))
    assert int(PdfReader(BytesIO(pdf)).pages[0].mediabox.width) == width


HOSTILE = '#panic("x") $x$ *b* _i_ `r` @ref <l> \\ // /* " \' {{ 7 }} #read("/etc/passwd")'


def test_names_are_text_and_never_markup():
    line = DocumentLine(HOSTILE, Decimal(1), Decimal(1))
    given = document(lines=(line,), buyer=replace(BUYER, name=HOSTILE, address=HOSTILE))
    (text,) = pages_of(given)
    assert text.replace(" ", "").count(HOSTILE.replace(" ", "")) == 3


@pytest.mark.parametrize("name", ["株式会社サンプル", "😀", "\x01", "עברית", ""])
def test_no_name_stops_an_invoice(name):
    assert render_pdf(document(buyer=replace(BUYER, name=name))).startswith(b"%PDF")


@pytest.mark.parametrize("given", [document(), draft(), document(lines=NUMBERED)])
def test_the_same_document_gives_the_same_bytes(given):
    assert render_pdf(given) == render_pdf(replace(given))


def test_the_files_own_date_is_the_day_of_issue():
    metadata = PdfReader(BytesIO(render_pdf(document()))).metadata
    assert metadata.creation_date == datetime(2023, 12, 1, 2, tzinfo=UTC)
    assert (metadata.title, metadata.author) == ("Invoice INV-2023-0001", "Aforo Cloud")
