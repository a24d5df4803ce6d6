from django.apps import AppConfig


class ProbeConfig(AppConfig):
    name = "aforo.probe"
    label = "probe"
