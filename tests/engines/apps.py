from django.apps import AppConfig


class EnginesConfig(AppConfig):
    name = "tests.engines"

    def ready(self):
        from . import celery_app  # noqa: F401 (so that tasks are sent to its broker, from any process)
