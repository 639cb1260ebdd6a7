"""Checks of the ledger itself: what was given up, and what nobody runs.

Asks the database, so only where Django allows it: `manage.py check --database default`, and `migrate`.
"""

from collections.abc import Collection
from datetime import timedelta

from django.db import DatabaseError, router
from django.utils import timezone

from wechatpay_notify.conf import conf
from wechatpay_notify.delivery import receivers
from wechatpay_notify.models import SignalDelivery

from .findings import Findings

OVERDUE = timedelta(minutes=10)
"""A worker looks every second, a sweeper every minute."""


def check(databases: Collection[str]) -> Findings:
    alias = router.db_for_write(SignalDelivery)
    if alias not in databases:
        return
    rows = SignalDelivery.objects.using(alias)
    try:
        given_up = receivers.given_up().using(alias).count()
        late = rows.filter(status=SignalDelivery.Status.PENDING, next_attempt_at__lt=timezone.now() - OVERDUE).count()
    except DatabaseError:
        return  # before the first migration
    if given_up:
        yield (
            "W037",
            f"{given_up} deliveries were given up: a receiver failed too often, or is gone.",
            "See them in the admin (signal deliveries, status gave up): the last error says why.",
        )
    if late and not conf.is_inline:
        yield (
            "W038",
            f'{late} deliveries are overdue although WECHATPAY_NOTIFY["DELIVERY"] leaves them to a worker.',
            "Run `manage.py wechatpay_deliver --loop` under a supervisor, or the task engine that DELIVERY wakes.",
        )
