"""Valkey from its wheel: on a socket only, and it keeps what it was told when it must."""

import redis
from kombu import Connection

from aforo.embedded.valkey import Valkey
from tests.waiting import eventually


def start(supervisor, valkey):
    supervisor.keep(valkey.server())
    supervisor.wait_until(valkey.answers, "Valkey did not answer")


def test_a_durable_server_still_knows_it_after_a_kill(supervisor, folder):
    valkey = Valkey(folder, folder, durable=True)
    start(supervisor, valkey)
    with redis.Redis.from_url(valkey.url) as client:
        client.set("known", "yes")
        client.waitaof(1, 0, 5000)
        assert client.config_get("port") == {"port": "0"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}

    child = supervisor.kept["valkey"].child
    child.kill()
    assert eventually(lambda: not child.is_running())
    start(supervisor, valkey)

    with redis.Redis.from_url(valkey.url) as client:
        assert client.get("known") == b"yes"


def test_the_broker_has_a_database_of_its_own(supervisor, folder):
    valkey = Valkey(folder, folder, durable=False)
    start(supervisor, valkey)

    with Connection(valkey.broker_url) as connection, connection.SimpleQueue("letters") as queue:
        queue.put("hello")

    with redis.Redis.from_url(valkey.url) as client:
        assert client.dbsize() == 0
        assert "db1" in client.info("keyspace")


def test_an_answer_is_not_made_up(folder):
    assert not Valkey(folder, folder, durable=False).answers()
