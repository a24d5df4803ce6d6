"""Questions to the catalog: tenant first, a queryset or a value back, nothing written."""
