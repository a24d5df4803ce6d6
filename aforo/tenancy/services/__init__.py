"""The verbs of tenancy, one module per noun."""
