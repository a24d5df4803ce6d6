"""Access checks beside a gateway: a small server without PostgreSQL that remembers."""
