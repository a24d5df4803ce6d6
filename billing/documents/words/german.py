"""The words of an invoice in German."""

from typing import Final

WORDS: Final = {
    "invoice": "Rechnung",
    "draft_invoice": "Rechnungsentwurf",
    "consolidated_invoice": "Sammelrechnung",
    "from": "Von",
    "billed_to": "Rechnung an",
    "invoice_number": "Rechnungsnummer",
    "given_when_issued": "bei Ausstellung",
    "issued": "Ausgestellt",
    "not_yet": "noch nicht",
    "due": "Fällig",
    "billing_period": "Abrechnungszeitraum",
    "customer": "Kunde",
    "total_due": "Gesamtbetrag",
    "due_by": "Zahlbar bis {date}",
    "description": "Beschreibung",
    "quantity": "Menge",
    "unit_price": "Einzelpreis",
    "before_rounding": "Vor Rundung",
    "amount": "Betrag",
    "subtotal": "Zwischensumme",
    "discount": "Rabatt",
    "tax": "Steuer",
    "total": "Gesamt",
    "page": "Seite {page} von {pages}",
    "proof": "Nachweis",
    "proof_text": (
        "Jede Nutzungsposition steht auf einer Hashkette ihrer Ereignisse; "
        "dieser Wert besiegelt die Ketten."
    ),
    "replay": "Zum Nachrechnen:",
    "currency": "Alle Beträge in {name} ({code}).",
    "rounding": (
        "Jede Position wird einmal gerundet, halbe zur geraden Ziffer; Summen "
        "sind Summen gerundeter Positionen."
    ),
    "tax_number": "Steuernummer {number}",
    "between": "{start} bis {end} ({zone})",
    "service_period": "Leistungszeitraum: {period}",
    "proven_one": "belegt durch {count} Ereignis",
    "proven_many": "belegt durch {count} Ereignisse",
    "of_part": "{number}: {name}",
    "parts": "Diese Rechnung ist die Summe aus",
    "tax_of": "{name} auf {amount}",
    "reverse_charge": (
        "Steuerschuldnerschaft des Leistungsempfängers (Reverse Charge), "
        "Artikel 196 der Richtlinie 2006/112/EG."
    ),
    "exempt": "Der Kunde ist von der Steuer befreit.",
    "attached": "Die Daten dieser Rechnung sind als invoice.json angehängt.",
    "undrawn": (
        "Für die als □ gezeigten Zeichen gibt es hier keine Schrift; die "
        "angehängte invoice.json enthält sie."
    ),
    "no_font": (
        "Für die Zeichen von {language} gibt es hier keine Schrift: "
        "Beschriftungen und Zahlen sind englisch."
    ),
    "DRAFT": "Entwurf",
    "OPEN": "Offen",
    "PAID": "Bezahlt",
    "OVERDUE": "Überfällig",
    "UNCOLLECTIBLE": "Uneinbringlich",
    "VOID": "Ungültig",
    "included": "inklusive",
    "included_and_rolled_over": "inklusive und übertragen",
    "units": "Einheiten",
    "flat_rate": "Pauschale",
    "overage": "Mehrverbrauch",
    "transactions": "Transaktionen",
    "free_amount": "freier Betrag",
    "free_transactions": "freie Transaktionen",
    "tier": "Stufe {number}",
    "tier_fee": "Stufe {number}, Grundgebühr",
    "all_at_tier": "alle Einheiten zu Stufe {number}",
    "step": "Stufe {number}",
}
