"""Questions to metering: tenant first, a queryset or a value back, nothing written."""
