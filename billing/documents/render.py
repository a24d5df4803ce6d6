"""Drawing: the same text through one Typst template (PDF) and one Django template (HTML)."""

import json
import re
from base64 import b64decode
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any, Final

import typst
from django.conf import settings
from django.template.loader import render_to_string

from billing.documents.attachment import attached
from billing.documents.formats import ENGLISH, Formats
from billing.documents.invoice import InvoiceDocument
from billing.documents.presentation import Shown, presented
from billing.documents.words import has_words, words_of

TYPST_TEMPLATE = Path(__file__).parents[2] / "templates" / "billing" / "invoice.typ"
ARCHIVABLE: Final = "a-3b"  # PDF/A-3: made to last, and it may carry files
UNDRAWN = "□"  # Typst's own fonts have it
_MISSING = re.compile(r"the text `(\".*?\")` could not be displayed")
_ATTEMPTS = 5  # each names what it could not draw; more than two have not been seen


def render_pdf(document: InvoiceDocument) -> bytes:
    """The invoice as PDF/A-3 with its data attached: the same document, the same bytes.

    Nothing that a name, an address or a picture holds stops it: what no font of this host has is
    shown as □, labels and figures then in English where theirs are among it, and the paper says
    so; a picture that cannot be read is left out.
    """
    shown = _shown(document, _drawable_language(document))
    missing: set[str] = set()
    for _ in range(_ATTEMPTS):
        try:
            return _compile(_without(shown, missing), document)
        except typst.TypstError as error:
            found = _missing_in(error)
            if found and not shown["undrawn"] and found & _own_characters(document):
                shown = _in_english(document)
            elif found:
                missing |= found
            elif shown["logo"]:
                shown["logo"] = ""
            else:
                raise
    raise RuntimeError(f"invoice {document.reference} cannot be drawn: {sorted(missing)}")


def render_html(document: InvoiceDocument) -> str:
    """The invoice as one page that needs nothing else: no script, no font; its picture is in it."""
    context = {"invoice": _shown(document, document.language)}
    return render_to_string("billing/invoice.html", context)


def _compile(shown: Shown, document: InvoiceDocument) -> bytes:
    logo = str(shown["logo"])
    picture = list(b64decode(logo.partition(",")[2])) if logo else []
    return typst.compile(
        TYPST_TEMPLATE,
        root=TYPST_TEMPLATE.parent,
        font_paths=_fonts(),
        sys_inputs={
            "invoice": json.dumps({**shown, "logo": picture}),
            "attached": attached(document),
        },
        timestamp=int(document.dated_at.timestamp()),
        pdf_standards=ARCHIVABLE,
    )


def _shown(document: InvoiceDocument, language: str) -> Shown:
    formats = Formats.of(
        language=language, currency=document.currency, time_zone=document.time_zone
    )
    return presented(document, formats, words_of(language))


def _in_english(document: InvoiceDocument) -> Shown:
    """The same in English, and a word about why."""
    shown = _shown(document, ENGLISH)
    english = words_of(ENGLISH)
    language = Formats.of(language=document.language, currency="USD", time_zone="UTC").locale
    name = language.get_display_name(ENGLISH) or document.language
    return {**shown, "undrawn": [english["no_font"].format(language=name)]}


def _drawable_language(document: InvoiceDocument) -> str:
    """The customer's, unless nobody has written its words and its figures are in other letters."""
    if has_words(document.language) or all(map(_is_everywhere, _figures(document))):
        return document.language
    return ENGLISH


def _is_everywhere(character: str) -> bool:
    """Whether Typst's own fonts have it: Latin, Greek, Cyrillic, punctuation, currency signs."""
    return character < "\u0530" or "\u1e00" <= character < "\u20c0"


def _own_characters(document: InvoiceDocument) -> set[str]:
    """What the language itself writes with: its words, a date, an amount."""
    return set("".join([*words_of(document.language).values(), _figures(document)]))


def _figures(document: InvoiceDocument) -> str:
    formats = Formats.of(
        language=document.language, currency=document.currency, time_zone=document.time_zone
    )
    return f"{formats.amount(document.total)} {formats.date(document.dated_at)}"


def _missing_in(error: typst.TypstError) -> set[str]:
    """The characters that no font has, as the error names them."""
    named = _MISSING.findall(error.diagnostic or str(error))
    return {character for text in named for character in json.loads(_as_json(text))}


def _as_json(text: str) -> str:
    r"""Typst escapes as `\u{1}` what JSON escapes as `\u0001`."""
    return re.sub(r"\\u\{([0-9a-fA-F]+)\}", lambda found: _escaped(int(found[1], 16)), text)


def _escaped(code: int) -> str:
    return json.dumps(chr(code))[1:-1]


def _without(shown: Shown, missing: Collection[str]) -> Shown:
    """All texts with □ for what cannot be drawn, and a line that says so."""
    if not missing:
        return shown
    words = shown["words"]
    note = words["undrawn"] if isinstance(words, dict) else ""
    drawn: Shown = _replaced(shown, str.maketrans(dict.fromkeys(missing, UNDRAWN)))
    notes = drawn["undrawn"]
    return {**drawn, "undrawn": [*notes, note]} if isinstance(notes, list) else drawn


def _replaced(value: object, table: dict[int, str]) -> Any:
    match value:
        case str():
            return value.translate(table)
        case dict():
            return {key: _replaced(member, table) for key, member in value.items()}
        case list():
            return [_replaced(member, table) for member in value]
    return value


def _fonts() -> typst.Fonts:
    return _fonts_with(settings.FONTS_DIR)


@cache
def _fonts_with(folder: str) -> typst.Fonts:
    """Typst's own, those of this host, and those of a folder, if one is named."""
    return typst.Fonts(include_system_fonts=True, font_paths=[folder] if folder else [])
