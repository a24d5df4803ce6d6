"""The words of an invoice in French."""

# ruff: noqa: RUF001 - these are the letters of the language

from typing import Final

WORDS: Final = {
    "invoice": "Facture",
    "draft_invoice": "Projet de facture",
    "consolidated_invoice": "Facture groupée",
    "from": "De",
    "billed_to": "Facturé à",
    "invoice_number": "Numéro de facture",
    "given_when_issued": "attribué à l’émission",
    "issued": "Émise le",
    "not_yet": "pas encore",
    "due": "Échéance",
    "billing_period": "Période de facturation",
    "customer": "Client",
    "total_due": "Total dû",
    "due_by": "À payer avant le {date}",
    "description": "Description",
    "quantity": "Quantité",
    "unit_price": "Prix unitaire",
    "before_rounding": "Avant arrondi",
    "amount": "Montant",
    "subtotal": "Sous-total",
    "discount": "Remise",
    "tax": "Taxe",
    "total": "Total",
    "page": "Page {page} sur {pages}",
    "proof": "Preuve",
    "proof_text": (
        "Chaque ligne d’usage repose sur une chaîne de hachage de ses "
        "événements ; cette empreinte scelle les chaînes."
    ),
    "replay": "Pour les rejouer :",
    "currency": "Tous les montants sont en {name} ({code}).",
    "rounding": (
        "Chaque ligne est arrondie une fois, au pair le plus proche ; les "
        "totaux sont des sommes de lignes arrondies."
    ),
    "tax_number": "Numéro fiscal {number}",
    "between": "{start} au {end} ({zone})",
    "service_period": "Période de service : {period}",
    "proven_one": "prouvé par {count} événement",
    "proven_many": "prouvé par {count} événements",
    "of_part": "{number} : {name}",
    "parts": "Cette facture est la somme de",
    "tax_of": "{name} sur {amount}",
    "reverse_charge": (
        "Autoliquidation, article 196 de la directive 2006/112/CE : la taxe est due par le preneur."
    ),
    "exempt": "Le client est exonéré de taxe.",
    "attached": "Les données de cette facture sont jointes : invoice.json.",
    "undrawn": (
        "Aucune police ne contient les caractères affichés □ ; le fichier "
        "joint invoice.json les contient."
    ),
    "no_font": (
        "Aucune police ne contient les caractères de : {language}. Libellés et "
        "chiffres sont en anglais."
    ),
    "DRAFT": "Brouillon",
    "OPEN": "À payer",
    "PAID": "Payée",
    "OVERDUE": "En retard",
    "UNCOLLECTIBLE": "Irrécouvrable",
    "VOID": "Annulée",
    "included": "inclus",
    "included_and_rolled_over": "inclus et reportés",
    "units": "unités",
    "flat_rate": "forfait",
    "overage": "dépassement",
    "transactions": "transactions",
    "free_amount": "montant gratuit",
    "free_transactions": "transactions gratuites",
    "tier": "palier {number}",
    "tier_fee": "palier {number}, forfait",
    "all_at_tier": "toutes les unités au palier {number}",
    "step": "palier {number}",
}
