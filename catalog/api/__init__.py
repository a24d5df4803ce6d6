"""The catalog over HTTP, one module per noun: its serializers, filters and views."""
