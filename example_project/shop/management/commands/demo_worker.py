"""wechatpay_deliver for the demo: as impatient as the people who watch it."""

from datetime import timedelta
from typing import Any

from wechatpay_notify.delivery import telling, worker
from wechatpay_notify.management.commands import wechatpay_deliver


class Command(wechatpay_deliver.Command):
    help = "Used by `demo --deferred`: a worker that waits seconds where a real one waits minutes."

    def handle(self, *args: Any, **options: Any) -> None:
        worker.RESERVATION = timedelta(seconds=2)
        telling.BACKOFF_SECONDS = (1,)
        super().handle(*args, **options)
