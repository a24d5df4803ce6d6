"""By what fast doors know a key: its entry in Redis, or the mark that revoking has left there."""

REVOKED = b"revoked"


def entry_of(digest: bytes) -> str:
    """The name of the Redis entry by which fast doors know a key."""
    return f"key:{digest.hex()}"
