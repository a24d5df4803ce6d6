"""The verbs of metering, one module per noun."""
