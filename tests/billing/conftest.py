import pytest

from aforo import queue


class Queued(list):
    """What was asked for, as (task name, arguments), instead of being sent to a broker."""

    def send_task(self, name, kwargs, **options):
        self.append((name, kwargs))


@pytest.fixture
def queued(monkeypatch):
    asked = Queued()
    monkeypatch.setattr(queue, "current_app", asked)
    return asked
