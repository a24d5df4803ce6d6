"""The words of an invoice in Spanish."""

from typing import Final

WORDS: Final = {
    "invoice": "Factura",
    "draft_invoice": "Borrador de factura",
    "consolidated_invoice": "Factura consolidada",
    "from": "De",
    "billed_to": "Facturado a",
    "invoice_number": "Número de factura",
    "given_when_issued": "al emitirla",
    "issued": "Emitida",
    "not_yet": "todavía no",
    "due": "Vencimiento",
    "billing_period": "Periodo de facturación",
    "customer": "Cliente",
    "total_due": "Total a pagar",
    "due_by": "A pagar antes del {date}",
    "description": "Descripción",
    "quantity": "Cantidad",
    "unit_price": "Precio unitario",
    "before_rounding": "Antes de redondear",
    "amount": "Importe",
    "subtotal": "Subtotal",
    "discount": "Descuento",
    "tax": "Impuesto",
    "total": "Total",
    "page": "Página {page} de {pages}",
    "proof": "Prueba",
    "proof_text": (
        "Cada línea de uso se apoya en una cadena de hashes de sus eventos; "
        "este resumen sella las cadenas."
    ),
    "replay": "Para reproducirlas:",
    "currency": "Todos los importes en {name} ({code}).",
    "rounding": (
        "Cada línea se redondea una vez, al par más cercano; los totales son "
        "sumas de líneas redondeadas."
    ),
    "tax_number": "Número fiscal {number}",
    "between": "{start} a {end} ({zone})",
    "service_period": "Periodo de servicio: {period}",
    "proven_one": "probado por {count} evento",
    "proven_many": "probado por {count} eventos",
    "of_part": "{number}: {name}",
    "parts": "Esta factura es la suma de",
    "tax_of": "{name} sobre {amount}",
    "reverse_charge": "Inversión del sujeto pasivo, artículo 196 de la Directiva 2006/112/CE.",
    "exempt": "El cliente está exento de impuestos.",
    "attached": "Los datos de esta factura van adjuntos: invoice.json.",
    "undrawn": (
        "Ninguna fuente tiene los caracteres mostrados como □; el adjunto "
        "invoice.json los contiene."
    ),
    "no_font": (
        "Ninguna fuente tiene los caracteres de {language}: textos y cifras están en inglés."
    ),
    "DRAFT": "Borrador",
    "OPEN": "Pendiente",
    "PAID": "Pagada",
    "OVERDUE": "Vencida",
    "UNCOLLECTIBLE": "Incobrable",
    "VOID": "Anulada",
    "included": "incluido",
    "included_and_rolled_over": "incluido y acumulado",
    "units": "unidades",
    "flat_rate": "tarifa plana",
    "overage": "exceso",
    "transactions": "transacciones",
    "free_amount": "importe gratuito",
    "free_transactions": "transacciones gratuitas",
    "tier": "tramo {number}",
    "tier_fee": "tramo {number}, cuota fija",
    "all_at_tier": "todas las unidades al tramo {number}",
    "step": "tramo {number}",
}
