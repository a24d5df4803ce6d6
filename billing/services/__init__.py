"""The verbs of billing, one module per noun."""
