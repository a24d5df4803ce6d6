"""The words of an invoice in Italian."""

# ruff: noqa: RUF001 - these are the letters of the language

from typing import Final

WORDS: Final = {
    "invoice": "Fattura",
    "draft_invoice": "Bozza di fattura",
    "consolidated_invoice": "Fattura riepilogativa",
    "from": "Da",
    "billed_to": "Fatturato a",
    "invoice_number": "Numero fattura",
    "given_when_issued": "assegnato all’emissione",
    "issued": "Emessa il",
    "not_yet": "non ancora",
    "due": "Scadenza",
    "billing_period": "Periodo di fatturazione",
    "customer": "Cliente",
    "total_due": "Totale dovuto",
    "due_by": "Da pagare entro il {date}",
    "description": "Descrizione",
    "quantity": "Quantità",
    "unit_price": "Prezzo unitario",
    "before_rounding": "Prima di arrotondare",
    "amount": "Importo",
    "subtotal": "Subtotale",
    "discount": "Sconto",
    "tax": "Imposta",
    "total": "Totale",
    "page": "Pagina {page} di {pages}",
    "proof": "Prova",
    "proof_text": (
        "Ogni riga di consumo poggia su una catena di hash dei suoi eventi; "
        "questa impronta sigilla le catene."
    ),
    "replay": "Per ripeterle:",
    "currency": "Tutti gli importi in {name} ({code}).",
    "rounding": (
        "Ogni riga è arrotondata una volta, al pari più vicino; i totali sono "
        "somme di righe arrotondate."
    ),
    "tax_number": "Partita IVA {number}",
    "between": "{start} – {end} ({zone})",
    "service_period": "Periodo di servizio: {period}",
    "proven_one": "provato da {count} evento",
    "proven_many": "provato da {count} eventi",
    "of_part": "{number}: {name}",
    "parts": "Questa fattura è la somma di",
    "tax_of": "{name} su {amount}",
    "reverse_charge": "Inversione contabile, articolo 196 della direttiva 2006/112/CE.",
    "exempt": "Il cliente è esente da imposta.",
    "attached": "I dati di questa fattura sono allegati: invoice.json.",
    "undrawn": (
        "Nessun font contiene i caratteri mostrati come □; l’allegato invoice.json li contiene."
    ),
    "no_font": "Nessun font contiene i caratteri di {language}: etichette e cifre sono in inglese.",
    "DRAFT": "Bozza",
    "OPEN": "Aperta",
    "PAID": "Pagata",
    "OVERDUE": "Scaduta",
    "UNCOLLECTIBLE": "Inesigibile",
    "VOID": "Annullata",
    "included": "incluso",
    "included_and_rolled_over": "incluso e riportato",
    "units": "unità",
    "flat_rate": "forfait",
    "overage": "eccedenza",
    "transactions": "transazioni",
    "free_amount": "importo gratuito",
    "free_transactions": "transazioni gratuite",
    "tier": "scaglione {number}",
    "tier_fee": "scaglione {number}, quota fissa",
    "all_at_tier": "tutte le unità allo scaglione {number}",
    "step": "scaglione {number}",
}
