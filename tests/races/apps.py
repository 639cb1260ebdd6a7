from django.apps import AppConfig


class RacesConfig(AppConfig):
    name = "tests.races"

    def ready(self):
        from . import receivers

        receivers.connect()
