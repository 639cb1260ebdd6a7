"""Celery as the worker: DELIVERY = "wechatpay_notify.contrib.celery.wake".

Never carries anything in a message, and never waits for a broker that is not there.
"""

from celery import shared_task

from wechatpay_notify.delivery import deliver_due


@shared_task(name="wechatpay_notify.deliver", ignore_result=True)  # type: ignore[untyped-decorator]
def deliver() -> None:
    """Run what is due. Put it into `beat_schedule` too, once a minute: it finds what no message announced."""
    deliver_due()


def wake() -> None:
    """Ask a worker to look. Not retried: a dead broker would hold up the notification, and the row waits anyway."""
    deliver.apply_async(retry=False)
