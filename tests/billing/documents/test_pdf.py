"""The PDF: what is on it, on which page, and that it is always the same."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfReader

from billing.documents import Branding, DocumentLine, DocumentPart, render_pdf
from billing.documents.words import LANGUAGES
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
        "overage, 8 blocks of 100 at $0.50 764 $4.00",
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
    assert "Gesamt 63,07 €" in text
    assert "1. Dezember 2023" in text
    assert "Zahlbar bis 15. Dezember 2023" in text
    assert "belegt durch 1.764 Ereignisse" in text
    assert "Stufe 2" in text
    assert "Seite 1 von 1" in text


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


SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="80" height="20">'
    b'<rect width="80" height="20" fill="#b03060"/></svg>'
)


def test_every_language_has_every_word_and_the_same_places_in_it():
    english = LANGUAGES["en"]
    for language, words in LANGUAGES.items():
        assert list(words) == list(english), language
        for key, text in words.items():
            places = {part for part in ("{date}", "{count}", "{name}", "{page}") if part in text}
            wanted = {
                part for part in ("{date}", "{count}", "{name}", "{page}") if part in english[key]
            }
            assert places == wanted, (language, key)


@pytest.mark.parametrize("language", sorted(set(LANGUAGES) - {"ja"}))
def test_the_paper_is_in_the_customers_language(language):
    text = " ".join(pages_of(document(language=language)))
    words = LANGUAGES[language]
    for key in ("invoice", "quantity", "billed_to", "proof", "total_due"):
        assert words[key].casefold() in text.casefold()
    assert "□" not in text


@pytest.mark.parametrize(
    ("currency", "amount", "shown"),
    [("JPY", "6307", "¥6,307"), ("KWD", "63.075", "KWD 63.075"), ("USD", "63.07", "$63.07")],
)
def test_amounts_have_the_minor_units_of_their_currency(currency, amount, shown):
    line = DocumentLine("Fee", Decimal(amount), Decimal(amount))
    sums = {"subtotal": Decimal(amount), "total": Decimal(amount)}
    (text,) = pages_of(document(currency=currency, lines=(line,), **sums))
    assert f"Total {shown}" in text


def test_it_is_archivable_and_carries_its_data():
    reader = PdfReader(BytesIO(render_pdf(document())))
    xmp = reader.xmp_metadata.rdf_root.toxml()
    assert "<pdfaid:part>3</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance>" in xmp
    ((data,),) = (reader.attachments["invoice.json"],)
    carried = json.loads(data)
    assert (carried["number"], carried["total"]) == ("INV-2023-0001", "63.07")
    assert [line["amount"] for line in carried["lines"]] == ["49.00", "9.37", "0.70", "4.00"]
    assert carried["lines"][1]["charges"][2]["amount"] == "1.368192"
    assert carried["digest"] == bytes(range(32)).hex()


def test_characters_without_a_font_are_shown_as_such_and_carried_as_they_are():
    pdf = render_pdf(document(buyer=replace(BUYER, name="A \u13a0\u0001 B")))
    text = " ".join(page.extract_text() for page in PdfReader(BytesIO(pdf)).pages)
    if "□" in text:  # unless a font of this host has it
        assert LANGUAGES["en"]["undrawn"][:30] in " ".join(text.split())
    data = PdfReader(BytesIO(pdf)).attachments["invoice.json"][0]
    assert json.loads(data)["buyer"]["name"] == "A \u13a0\u0001 B"


def test_a_folder_of_fonts_has_what_the_host_lacks(settings):
    named = document(buyer=replace(BUYER, name="A \U000f1234 B"))
    assert "A □ B" in pages_of(named)[0]
    settings.FONTS_DIR = str(Path(__file__).parent / "fonts")  # a font of one mark, U+F1234
    assert "A \U000f1234 B" in pages_of(named)[0]
    assert render_pdf(named) == render_pdf(named)


def test_a_language_without_a_font_is_set_in_english_and_says_so():
    (text,) = pages_of(document(language="ja"))
    if "請求書" not in text:  # unless a font of this host has it
        assert "No font here has the characters of Japanese" in text
        assert "Total $63.07" in text


def test_a_draft_without_its_tax_says_so_in_every_language():
    for language in sorted(set(LANGUAGES) - {"ja"}):
        words = LANGUAGES[language]
        (text,) = pages_of(draft(language=language, is_tax_pending=True))
        assert f"{words['tax']} {words['tax_pending']} {words['total']} " in text
        assert words["tax_pending_note"] in text
    assert LANGUAGES["en"]["tax_pending_note"] not in pages_of(draft())[0]


def test_a_part_without_its_tax_says_so_too():
    parts = tuple(
        DocumentPart(f"d{number}", "Child", LINES, Decimal(1), is_tax_pending=number == 1)
        for number in (1, 2)
    )
    whole = draft(kind="CONSOLIDATED", lines=(), parts=parts, is_tax_pending=True)
    assert " ".join(pages_of(whole)).count("Tax not calculated yet") == 2


TAXED = (
    LINES[0],
    DocumentLine(
        "VAT 19 %", Decimal(7), Decimal(7), type="TAX_ADJUSTMENT", tax_percent=Decimal(19)
    ),
    DocumentLine(
        "VAT 19 %", Decimal(2), Decimal(2), type="TAX_ADJUSTMENT", tax_percent=Decimal(19)
    ),
    DocumentLine("VAT 7 %", Decimal(1), Decimal(1), type="TAX_ADJUSTMENT", tax_percent=Decimal(7)),
)


def test_taxes_are_summed_by_rate_below_the_lines():
    (text,) = pages_of(document(lines=TAXED, tax_total=Decimal(10), total=Decimal("73.07")))
    assert "Subtotal $63.07 VAT 19 % $9.00 VAT 7 % $1.00 Total $73.07" in text


def tax(name, amount, percent):
    return DocumentLine(
        name,
        Decimal(amount),
        Decimal(amount),
        type="TAX_ADJUSTMENT",
        tax_percent=Decimal(percent),
    )


def test_a_tax_is_summed_over_parts_with_what_it_is_of():
    parts = tuple(
        DocumentPart(f"INV-7/{number}", "Child", (LINES[0], tax(name, amount, 19)), Decimal(1))
        for number, name, amount in (
            (1, "VAT 19 % on 49.00", "9.31"),
            (2, "VAT 19 % on 1.00", "0.19"),
        )
    )
    text = " ".join(pages_of(document(kind="CONSOLIDATED", lines=(), parts=parts, language="de")))
    assert "VAT 19 % auf 50,00 $ 9,50 $" in text
    assert "VAT 19 % auf 49,00 $ 9,31 $" in text


def test_a_rate_of_zero_is_a_rate_and_an_export_names_its_country():
    (text,) = pages_of(document(lines=(*LINES, tax("VAT 0 % on 63.07", 0, 0)), language="fr"))
    assert "VAT 0 % sur 63,07 $US 0,00 $US" in text
    (text,) = pages_of(document(lines=(*LINES, tax("No tax: export to US", 0, 0)), language="es"))
    assert "Sin impuesto: exportación, Estados Unidos." in text


def test_a_reverse_charge_is_named_in_the_customers_language():
    note = "Reverse charge, Article 196 Council Directive 2006/112/EC"
    line = DocumentLine(note, Decimal(0), Decimal(0), type="TAX_ADJUSTMENT")
    (text,) = pages_of(document(lines=(*LINES, line), language="de"))
    assert "Steuerschuldnerschaft des Leistungsempfängers" in text


def test_a_fee_in_advance_says_what_it_is_for():
    covers = (datetime(2023, 12, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC))
    (text,) = pages_of(document(lines=(replace(LINES[0], covers=covers), *LINES[1:])))
    assert "Service period: Dec 1" in text


def test_a_consolidated_invoice_shows_its_parts_line_by_line():
    parts = tuple(
        DocumentPart(f"INV-7/{number}", f"Child {number}", LINES, Decimal("63.07"))
        for number in (1, 2)
    )
    text = " ".join(pages_of(document(kind="CONSOLIDATED", lines=(), parts=parts)))
    assert "Consolidated invoice" in text
    assert "INV-7/2: Child 2 $63.07" in text
    assert text.count("Inference: input_tokens") == 2


def test_the_sellers_picture_colour_and_last_word_are_on_it():
    branded = Branding(logo=SVG, accent_color="#b03060", footer="HRB 12345")
    assert "HRB 12345" in pages_of(document(branding=branded))[0]
    plain = render_pdf(document())
    assert render_pdf(document(branding=branded)) == render_pdf(document(branding=branded)) != plain


@pytest.mark.parametrize("logo", [b"GIF89a...", b"\x89PNG broken", b"<svg", b"\x00" * 100])
def test_a_picture_that_cannot_be_read_is_left_out(logo):
    (text,) = pages_of(document(branding=Branding(logo=logo)))
    assert "Total $63.07" in text
