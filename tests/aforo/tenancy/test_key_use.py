"""When keys were last used."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from redis import Redis

from aforo import valkey
from aforo.tenancy.key_use import KeyUse, take_uses
from aforo.tenancy.tasks import note_key_use
from tests.factories import ApiKeyFactory

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def hash_name(monkeypatch):
    """A hash of our own: tests that run beside this one use keys too."""
    name = f"key_use:{uuid4()}"
    monkeypatch.setattr("aforo.tenancy.key_use._HASH", name)
    return name


def test_a_key_is_noted_at_most_every_thirty_seconds():
    use, key_id, other = KeyUse(), uuid4(), uuid4()

    for seconds in range(30):
        use.note(key_id, NOW + seconds * SECOND)
    use.note(other, NOW + SECOND)
    assert take_uses() == {key_id: NOW, other: NOW + SECOND}

    use.note(key_id, NOW + 30 * SECOND)
    assert take_uses() == {key_id: NOW + 30 * SECOND}
    assert take_uses() == {}


def test_a_redis_that_is_away_is_asked_once_in_thirty_seconds(monkeypatch):
    use, asked = KeyUse(), []
    nowhere = Redis.from_url("unix:///nowhere.sock")
    monkeypatch.setattr("aforo.valkey.client", lambda: asked.append(1) or nowhere)

    for seconds in range(31):
        use.note(uuid4(), NOW + seconds * SECOND)

    assert len(asked) == 2


@pytest.mark.django_db
def test_the_task_writes_what_is_newer(hash_name):
    fresh, stale, unused = (
        ApiKeyFactory(),
        ApiKeyFactory(last_used_at=NOW + SECOND),
        ApiKeyFactory(),
    )
    use = KeyUse()
    for key_id in (fresh.pk, stale.pk, uuid4()):
        use.note(key_id, NOW)

    assert note_key_use() == 1
    assert note_key_use() == 0

    used = []
    for key in (fresh, stale, unused):
        key.refresh_from_db()
        used.append(key.last_used_at)
    assert used == [NOW, NOW + SECOND, None]
    assert not valkey.client().exists(hash_name)
