"""The names under which gateways read in Redis that tokens are no longer good."""

SECONDS = 3600  # longer than any token lives


def blocked_token(jti: object) -> str:
    """There while one token is blocked."""
    return f"jti:blocked:{jti}"


def blocked_client(key_id: object) -> str:
    """There while all tokens that were given out to a key are."""
    return f"jti:client:{key_id}"
