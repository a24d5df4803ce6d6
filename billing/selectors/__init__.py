"""Questions to billing: tenant first, a queryset or a value back, nothing written."""
