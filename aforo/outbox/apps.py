from django.apps import AppConfig


class OutboxConfig(AppConfig):
    name = "aforo.outbox"
    label = "outbox"
    verbose_name = "Outbox"
