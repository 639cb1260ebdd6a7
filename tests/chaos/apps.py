from datetime import timedelta

from django.apps import AppConfig


class ChaosConfig(AppConfig):
    name = "tests.chaos"

    def ready(self):
        from wechatpay_notify.delivery import outbox, telling, worker

        from . import receivers

        receivers.connect()
        # The worker's waits, compressed as WeChat's gaps are: a killed process is to be made up for within the run.
        telling.BACKOFF_SECONDS = (1, 2, 4)
        worker.RESERVATION, worker.WAIT = timedelta(seconds=3), timedelta(seconds=1)
        outbox.INLINE_LEEWAY = timedelta(seconds=1)
