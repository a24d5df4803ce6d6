"""Tokens for gateways: an API key is changed into one, others verify it, and it is taken back."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import jwt
import pytest
import redis
from django.core.management import call_command
from django.test import Client
from jwt import PyJWKSet

from aforo import valkey
from aforo.tenancy.models import BlockedToken, TokenKey
from aforo.tenancy.services import keys, token_keys, tokens
from aforo.tenancy.services.actors import Actor
from aforo.tenancy.services.token_keys import reseal_keys, turn_keys
from catalog.models import Subscription, SubscriptionKey
from catalog.services import subscriptions
from tests.factories import (
    ApiKeyFactory,
    OperatorKeyFactory,
    SandboxFactory,
    SubscriptionFactory,
    TenantFactory,
)
from tests.threads import in_threads

pytestmark = pytest.mark.django_db
ISSUER = "https://billing.seller.example"
DAY = timedelta(days=1)
ACTOR = Actor.system("tests")


@pytest.fixture(autouse=True)
def at_home(settings, monkeypatch):
    settings.SITE_URL, settings.INTERNAL_LISTENER = ISSUER + "/", True
    token_keys._opened.cache_clear()


@pytest.fixture
def key():
    subscription = SubscriptionFactory()
    key = ApiKeyFactory(tenant=subscription.tenant)
    SubscriptionKey.objects.create(tenant=key.tenant, subscription=subscription, key=key)
    return key


def now():
    return datetime.now(UTC)  # noqa: TID251 - verifiers know no other


def ask(secret, path="/oauth/token", **fields):
    fields = {"grant_type": "client_credentials", "client_secret": secret, **fields}
    return Client().post(path, fields)


def token_of(key):
    return ask(key.secret).json()["access_token"]


def verified(token, *, leeway=30):
    """As a gateway does it: by the published keys, and nothing else of ours."""
    published = PyJWKSet.from_dict(Client().get("/.well-known/jwks.json").json())
    signer = published[jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(token, signer.key, algorithms=["RS256"], issuer=ISSUER, leeway=leeway)


def revoked(**query):
    return Client().get("/internal/v1/auth/token-check", query).json()["revoked"]


def test_a_token_says_for_whom_it_speaks_and_is_verified_by_the_published_keys(key):
    answer = ask(key.secret)
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    said = answer.json()
    assert (said["token_type"], said["expires_in"]) == ("Bearer", 900)
    claims = verified(said["access_token"])
    bound = key.subscription.subscription
    assert abs(claims.pop("exp") - now().timestamp() - 900) < 30
    assert len(claims.pop("jti")) == 36
    assert claims == {
        "iss": ISSUER,
        "sub": bound.customer.external_id,
        "tenant_id": str(key.tenant_id),
        "customer_id": bound.customer.external_id,
        "key_id": str(key.pk),
        "offering_ids": [str(bound.offering_id)],
        "subscription_ids": [str(bound.pk)],
        "scopes": ["usage:write", "access:read"],
        "environment": "live",
    }
    (published,) = Client().get("/.well-known/jwks.json").json()["keys"]
    assert published.keys() == {"kid", "kty", "use", "alg", "n", "e"}
    assert (published["kty"], published["alg"], published["e"]) == ("RSA", "RS256", "AQAB")


def test_a_key_that_is_bound_to_nobody_speaks_for_its_tenant():
    key = ApiKeyFactory(tenant=SandboxFactory())
    claims = verified(token_of(key))
    assert (claims["customer_id"], claims["sub"]) == (None, str(key.pk))
    assert (claims["subscription_ids"], claims["environment"]) == ([], "test")


def test_a_client_says_who_it_is_as_clients_do(key):
    basic = b64encode(f"{key.pk}:{key.secret}".encode()).decode()
    form = {"grant_type": "client_credentials", "scope": "access:read"}
    told = [
        Client().post("/oauth/token", form, headers={"Authorization": f"Basic {basic}"}),
        Client().post("/oauth/token", form, headers={"Authorization": f"Bearer {key.secret}"}),
        Client().post(
            "/oauth/token",
            form | {"client_id": str(key.pk), "client_secret": key.secret},
            content_type="application/json",
            headers={"X-Tenant-Id": key.tenant.slug},
        ),
    ]
    for answer in told:
        assert (answer.status_code, answer.json()["scope"]) == (200, "access:read")
        assert verified(answer.json()["access_token"])["scopes"] == ["access:read"]


@pytest.mark.parametrize(
    ("fields", "status", "error"),
    [
        ({"client_secret": "sk_live_unknown"}, 401, "invalid_client"),
        ({"client_secret": ""}, 401, "invalid_client"),
        ({"client_id": str(uuid4())}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"scope": "access:read admin"}, 400, "invalid_scope"),
    ],
)
def test_what_is_given_no_token(key, fields, status, error):
    answer = ask(key.secret, **fields)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_only_open_metering_keys_of_the_named_tenant_are_given_tokens(key):
    operator = OperatorKeyFactory(tenant=key.tenant)
    assert ask(operator.secret).json()["error"] == "unauthorized_client"
    other = {"X-Tenant-Id": TenantFactory().slug, "Authorization": f"Bearer {key.secret}"}
    form = {"grant_type": "client_credentials"}
    assert Client().post("/oauth/token", form, headers=other).status_code == 401
    said = Client().post("/oauth/token", b"[1", content_type="application/json")
    assert (said.status_code, said.json()["error"]) == (400, "invalid_request")
    assert [Client().get(path).status_code for path in ("/oauth/token", "/oauth/revoke")] == [
        405
    ] * 2
    assert Client().post("/.well-known/jwks.json").status_code == 405


def test_what_was_changed_or_signed_by_others_or_is_over_is_not_valid(key):
    token = token_of(key)
    head, body, signature = token.split(".")
    with pytest.raises(jwt.InvalidSignatureError):
        verified(f"{head}.{body[:-2]}AA.{signature}")
    with pytest.raises(jwt.ExpiredSignatureError):
        verified(token, leeway=-901)
    claims, kid = verified(token), jwt.get_unverified_header(token)["kid"]
    other = token_keys.generate_private_key(public_exponent=65537, key_size=2048)
    with pytest.raises(jwt.InvalidSignatureError):
        verified(jwt.encode(claims, other, algorithm="RS256", headers={"kid": kid}))


def test_tokens_of_a_revoked_key_are_revoked_also_when_redis_forgets(
    key, django_capture_on_commit_callbacks
):
    claims = verified(token_of(key))
    asked = {"jti": claims["jti"], "keyId": claims["key_id"]}
    assert revoked(**asked) is False
    with django_capture_on_commit_callbacks(execute=True):
        subscriptions.cancel_subscription(
            subscription=Subscription.objects.get(), actor=ACTOR, now=now()
        )
    assert valkey.client().ttl(f"jti:client:{key.pk}") > 930
    assert revoked(**asked) is True
    assert ask(key.secret).status_code == 401
    valkey.client().delete(f"jti:client:{key.pk}")
    assert revoked(**asked) is True
    keys.mark_revoked(now=now())
    assert valkey.client().exists(f"jti:client:{key.pk}")


def test_a_token_is_taken_back_by_its_own_key_or_an_operator(
    key, django_capture_on_commit_callbacks
):
    first, second = token_of(key), token_of(key)
    stranger = OperatorKeyFactory(role="OWNER")
    member = OperatorKeyFactory(tenant=key.tenant, role="MEMBER")
    operator = OperatorKeyFactory(tenant=key.tenant, role="OWNER")
    with django_capture_on_commit_callbacks(execute=True):
        for other in (stranger, member, ApiKeyFactory(tenant=key.tenant)):
            refused = ask(other.secret, "/oauth/revoke", token=first)
            assert (refused.status_code, refused.json()["error"]) == (400, "unauthorized_client")
        assert revoked(jti=verified(first)["jti"]) is False
        for client, token in ((key, first), (operator, second), (key, first)):
            assert ask(client.secret, "/oauth/revoke", token=token).status_code == 200
    ids = [verified(one)["jti"] for one in (first, second)]
    assert [valkey.client().ttl(f"jti:blocked:{jti}") > 930 for jti in ids] == [True, True]
    assert [revoked(jti=jti) for jti in ids] == [True, True]

    valkey.client().delete(*(f"jti:blocked:{jti}" for jti in ids))
    assert revoked(jti=ids[0]) is True
    assert tokens.mark_blocked(now=now()) == 2
    assert valkey.client().exists(*(f"jti:blocked:{jti}" for jti in ids)) == 2
    assert tokens.mark_blocked(now=now() + timedelta(minutes=16)) == 0
    assert not BlockedToken.objects.exists()
    for nonsense in ("", "x", "a.b.c"):
        assert ask(key.secret, "/oauth/revoke", token=nonsense).status_code in {200, 400}


def test_a_revocation_that_gateways_did_not_hear_of_is_no_success(
    key, monkeypatch, django_capture_on_commit_callbacks
):
    token = token_of(key)

    def away():
        raise redis.ConnectionError

    monkeypatch.setattr(valkey.client(), "pipeline", lambda **_: away())
    with (
        pytest.raises(Exception, match="still have to hear"),
        django_capture_on_commit_callbacks(execute=True),
    ):
        ask(key.secret, "/oauth/revoke", token=token)


def test_keys_turn_while_tokens_of_both_are_valid(key):
    start = now()
    token = token_of(key)
    (first,) = TokenKey.objects.all()
    due = start + token_keys.SIGNS_FOR - token_keys.PUBLISHED_AHEAD + timedelta(minutes=1)
    assert turn_keys(now=due - timedelta(minutes=5)) == [first]
    both = turn_keys(now=due)
    assert turn_keys(now=due) == both
    assert len(both) == 2
    assert token_keys.signing_key(now=due) == first  # the next is published before it signs
    later = due + token_keys.PUBLISHED_AHEAD
    assert token_keys.signing_key(now=later) == both[1]
    assert verified(token)["key_id"] == str(key.pk)
    assert turn_keys(now=later + token_keys.PUBLISHED_AFTER) == [both[1]]


def test_a_key_that_was_drawn_a_moment_after_somebody_looked_at_the_clock_signs():
    looked = now()
    replaced = token_keys.replace_keys(now=looked + timedelta(milliseconds=5))
    assert token_keys.signing_key(now=looked) == replaced


def test_a_revocation_is_told_for_as_long_as_a_token_passes():
    assert keys.LATELY > tokens.LIFETIME + tokens.SKEW


def test_a_key_that_leaked_is_replaced_at_once(key, capsys):
    token = token_of(key)
    call_command("replace_token_keys")
    with pytest.raises(KeyError):
        verified(token)
    assert tokens.read_token(token, now=now()) is None
    assert verified(token_of(key))
    assert str(TokenKey.objects.get().pk) in capsys.readouterr().out


def test_keys_are_sealed_and_sealed_anew(key, settings):
    token_of(key)
    row = TokenKey.objects.get()
    before = bytes(row.sealed_private_key)
    assert b"0\x82" not in before[:8]
    settings.SEALING_KEYS = ["the key of today"]
    assert (reseal_keys(), reseal_keys()) == (1, 0)
    row.refresh_from_db()
    assert bytes(row.sealed_private_key) != before
    assert verified(token_of(key))
    settings.SEALING_KEYS, settings.SECRET_KEY = [], "another"
    token_keys._opened.cache_clear()
    assert ask(key.secret).status_code == 503


@pytest.mark.django_db(transaction=True)
def test_of_eight_who_need_the_first_key_one_draws_it():
    drawn = in_threads(8, lambda _: token_keys.signing_key(now=now()).pk)
    assert len(set(drawn)) == 1
