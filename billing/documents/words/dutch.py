"""The words of an invoice in Dutch."""

from typing import Final

WORDS: Final = {
    "invoice": "Factuur",
    "draft_invoice": "Conceptfactuur",
    "consolidated_invoice": "Verzamelfactuur",
    "from": "Van",
    "billed_to": "Factuur aan",
    "invoice_number": "Factuurnummer",
    "given_when_issued": "bij uitgifte",
    "issued": "Uitgegeven",
    "not_yet": "nog niet",
    "due": "Vervaldatum",
    "billing_period": "Factuurperiode",
    "customer": "Klant",
    "total_due": "Totaal te betalen",
    "due_by": "Te betalen vóór {date}",
    "description": "Omschrijving",
    "quantity": "Aantal",
    "unit_price": "Stuksprijs",
    "before_rounding": "Vóór afronding",
    "amount": "Bedrag",
    "subtotal": "Subtotaal",
    "discount": "Korting",
    "tax": "Belasting",
    "total": "Totaal",
    "page": "Pagina {page} van {pages}",
    "proof": "Bewijs",
    "proof_text": (
        "Elke verbruiksregel rust op een hashketen van zijn gebeurtenissen; "
        "deze waarde verzegelt de ketens."
    ),
    "replay": "Om ze na te rekenen:",
    "currency": "Alle bedragen in {name} ({code}).",
    "rounding": (
        "Elke regel wordt eenmaal afgerond, half naar even; totalen zijn "
        "sommen van afgeronde regels."
    ),
    "tax_number": "Btw-nummer {number}",
    "between": "{start} tot {end} ({zone})",
    "service_period": "Dienstperiode: {period}",
    "proven_one": "bewezen door {count} gebeurtenis",
    "proven_many": "bewezen door {count} gebeurtenissen",
    "of_part": "{number}: {name}",
    "parts": "Deze factuur is de som van",
    "tax_of": "{name} over {amount}",
    "reverse_charge": "Btw verlegd, artikel 196 van Richtlijn 2006/112/EG.",
    "exempt": "De klant is vrijgesteld van belasting.",
    "attached": "De gegevens van deze factuur zijn bijgevoegd: invoice.json.",
    "undrawn": "Geen lettertype bevat de tekens die als □ staan; de bijlage invoice.json bevat ze.",
    "no_font": (
        "Geen lettertype bevat de tekens van {language}: teksten en cijfers zijn in het Engels."
    ),
    "DRAFT": "Concept",
    "OPEN": "Open",
    "PAID": "Betaald",
    "OVERDUE": "Achterstallig",
    "UNCOLLECTIBLE": "Oninbaar",
    "VOID": "Ongeldig",
    "included": "inbegrepen",
    "included_and_rolled_over": "inbegrepen en overgedragen",
    "units": "eenheden",
    "flat_rate": "vast bedrag",
    "overage": "meerverbruik",
    "transactions": "transacties",
    "free_amount": "gratis bedrag",
    "free_transactions": "gratis transacties",
    "tier": "staffel {number}",
    "tier_fee": "staffel {number}, vast bedrag",
    "all_at_tier": "alle eenheden op staffel {number}",
    "step": "staffel {number}",
}
