import pytest

from aforo.edge.options import Misconfigured, Options
from catalog.aliases import key_of

NEEDED = {"REDIS_URL": "redis://r", "SECRET_KEY": "s"}


def test_an_edge_is_told_everything_by_its_environment():
    told = {
        "AFORO_EDGE_FRESH_SECONDS": "0.5",
        "AFORO_EDGE_TENANT": "acme",
        "AFORO_EDGE_INTERNAL": "true",
    }
    options = Options.read(NEEDED | told | {"AFORO_GATEWAY_TOKENS": "a,b"})
    assert (options.redis_url, options.alias_key) == ("redis://r", key_of("s"))
    assert (options.fresh_seconds, options.stale_seconds, options.tenant) == (0.5, 900.0, "acme")
    assert (options.is_internal, options.gateway_tokens) == (True, ("a", "b"))
    alone = {"REDIS_URL": "redis://r", "AFORO_EDGE_ALIAS_KEY": key_of("s").hex()}
    assert Options.read(alone) == Options(redis_url="redis://r", alias_key=key_of("s"))


@pytest.mark.parametrize(
    "environment",
    [{}, {"REDIS_URL": "x"}, {"SECRET_KEY": "x"}, {"REDIS_URL": "x", "AFORO_EDGE_ALIAS_KEY": "no"}],
)
def test_an_edge_that_lacks_something_says_what(environment):
    with pytest.raises(Misconfigured):
        Options.read(environment)
