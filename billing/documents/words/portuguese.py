"""The words of an invoice in Portuguese."""

from typing import Final

WORDS: Final = {
    "invoice": "Fatura",
    "draft_invoice": "Rascunho de fatura",
    "consolidated_invoice": "Fatura consolidada",
    "from": "De",
    "billed_to": "Faturado a",
    "invoice_number": "Número da fatura",
    "given_when_issued": "atribuído na emissão",
    "issued": "Emitida",
    "not_yet": "ainda não",
    "due": "Vencimento",
    "billing_period": "Período de faturação",
    "customer": "Cliente",
    "total_due": "Total a pagar",
    "due_by": "A pagar até {date}",
    "description": "Descrição",
    "quantity": "Quantidade",
    "unit_price": "Preço unitário",
    "before_rounding": "Antes de arredondar",
    "amount": "Montante",
    "subtotal": "Subtotal",
    "discount": "Desconto",
    "tax": "Imposto",
    "total": "Total",
    "page": "Página {page} de {pages}",
    "proof": "Prova",
    "proof_text": (
        "Cada linha de consumo assenta numa cadeia de hashes dos seus eventos; "
        "este resumo sela as cadeias."
    ),
    "replay": "Para as repetir:",
    "currency": "Todos os montantes em {name} ({code}).",
    "rounding": (
        "Cada linha é arredondada uma vez, ao par mais próximo; os totais são "
        "somas de linhas arredondadas."
    ),
    "tax_number": "Número fiscal {number}",
    "between": "{start} a {end} ({zone})",
    "service_period": "Período de serviço: {period}",
    "proven_one": "provado por {count} evento",
    "proven_many": "provado por {count} eventos",
    "of_part": "{number}: {name}",
    "parts": "Esta fatura é a soma de",
    "tax_of": "{name} sobre {amount}",
    "reverse_charge": "Autoliquidação, artigo 196.º da Diretiva 2006/112/CE.",
    "exempt": "O cliente está isento de imposto.",
    "attached": "Os dados desta fatura estão anexados: invoice.json.",
    "undrawn": (
        "Nenhum tipo de letra tem os caracteres mostrados como □; o anexo invoice.json contém-nos."
    ),
    "no_font": (
        "Nenhum tipo de letra tem os caracteres de {language}: textos e valores estão em inglês."
    ),
    "DRAFT": "Rascunho",
    "OPEN": "Em aberto",
    "PAID": "Paga",
    "OVERDUE": "Em atraso",
    "UNCOLLECTIBLE": "Incobrável",
    "VOID": "Anulada",
    "included": "incluído",
    "included_and_rolled_over": "incluído e transitado",
    "units": "unidades",
    "flat_rate": "tarifa fixa",
    "overage": "excedente",
    "transactions": "transações",
    "free_amount": "montante gratuito",
    "free_transactions": "transações gratuitas",
    "tier": "escalão {number}",
    "tier_fee": "escalão {number}, taxa fixa",
    "all_at_tier": "todas as unidades no escalão {number}",
    "step": "escalão {number}",
}
