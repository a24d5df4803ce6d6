"""Taxes: the built-in table, and engines over HTTP that know better."""
