"""The verbs of the catalog, one module per noun.

Each is one transaction, leaves an audit entry, and raises the tenant's `catalog_version` where a
price or a contract can have changed. A row's own lock is taken before the tenant's.
"""
