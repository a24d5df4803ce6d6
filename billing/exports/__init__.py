"""What leaves the house: events of a line, invoices in bulk, and the export that auditors check."""
