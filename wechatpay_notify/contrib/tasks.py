"""Django's tasks as the worker: DELIVERY = "wechatpay_notify.contrib.tasks.wake".

Never carries anything in a message.
"""

try:
    from django.tasks import task
except ImportError:  # Django 5.2, with the package django-tasks
    from django_tasks import task  # type: ignore[no-redef]

from wechatpay_notify.delivery import deliver_due


@task()
def deliver() -> None:
    """Run what is due. A cron line `manage.py wechatpay_deliver --once` finds what no message announced."""
    deliver_due()


def wake() -> None:
    """Ask a worker to look."""
    deliver.enqueue()
