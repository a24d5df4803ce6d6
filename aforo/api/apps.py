from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "aforo.api"
    label = "api"
    verbose_name = "API"
