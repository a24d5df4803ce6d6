from django.apps import AppConfig


class DemoConfig(AppConfig):
    name = "aforo.demo"
    label = "demo"
