"""The probe: known traffic through a running installation, and proof of what became of it."""
