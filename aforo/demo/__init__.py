"""The demonstration: real traffic becomes invoices that can be proven to the cent."""
