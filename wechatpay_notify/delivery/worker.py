"""The worker: runs what is due of the ledger, outside of any request, in any number of processes at once.

Never waits for a receiver that another process is running, and never lets one failure hold up the rest.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from django.db import router, transaction
from django.db.models import QuerySet
from django.utils import timezone

from wechatpay_notify.contention import must_commit, skips_locked
from wechatpay_notify.log import logger
from wechatpay_notify.models import NotificationLog, Order, SignalDelivery

from . import outbox
from .telling import MAX_ATTEMPTS, hold, next_attempt, tell, with_receivers

BATCH = 20
RESERVATION = timedelta(seconds=60)
"""How long a batch is one process's alone. Whoever is killed leaves its rows to the others after that."""
WAIT = timedelta(seconds=60)
"""Until a delivery that has to wait is looked at again: for its payment, or for a receiver that is not there."""
PATIENCE = timedelta(days=7)
"""How long one waits before it is given up."""
GLANCE = 0.02
"""Seconds: another process that looks for what is due holds the rows it looks at for as long as a commit takes."""

_reported: set[str] = set()
"""Receivers whose absence this process has reported."""


def due(using: str | None = None) -> int:
    """How many deliveries are due."""
    return _due(using or router.db_for_write(SignalDelivery)).count()


def deliver_due(
    *, stop: Callable[[], bool] = lambda: False, told: Callable[[str], None] = lambda _: None
) -> Counter[str]:
    """Run what is due until nothing is; how many were "done", "failed", "waiting", "gave_up", or "gone" to another.

    `stop` is asked before each receiver; `told` hears how each ended. Raises database errors that are no receiver's.
    """
    using = router.db_for_write(SignalDelivery)
    must_commit(using)
    counted: Counter[str] = Counter()
    while not stop():
        reserved = _reserve(using)
        if reserved is None:
            break
        for ended in run_reserved(with_receivers(reserved, using), using, stop):
            counted[ended] += 1
            told(ended)
    return counted


def run_reserved(reserved: list[SignalDelivery], using: str, stop: Callable[[], bool] = lambda: False) -> Iterator[str]:
    """Run what this process has reserved; how each ended. What was not begun when `stop` says so is given back."""
    rows, notifications = deque(reserved), outbox.notifications(reserved, using)
    held: set[int] = set()
    while rows and not stop():
        row = rows.popleft()
        ended = _deliver(row, notifications, using)
        if ended == "busy" and row.pk not in held:  # looked at by another process: once more, at the end
            held.add(row.pk)
            rows.append(row)
            if len(held) == len(rows):
                time.sleep(GLANCE)
        else:
            yield "gone" if ended == "busy" else ended
    for row in rows:
        _amend(row, using, next_attempt_at=timezone.now())


def _due(using: str) -> QuerySet[SignalDelivery]:
    rows = SignalDelivery.objects.using(using)
    return rows.filter(status=SignalDelivery.Status.PENDING, next_attempt_at__lte=timezone.now())


def _reserve(using: str) -> list[SignalDelivery] | None:
    """The next rows, this process's alone for a while; None if nothing is due but what others have in hand."""
    passed: set[str] = set()
    while True:
        following = _due(using).exclude(subject__in=passed).order_by("next_attempt_at", "pk")
        subjects = set(following.values_list("subject", flat=True)[:BATCH])
        if not subjects:
            return None
        rows = _take(subjects, using)
        if rows:
            return rows
        passed |= subjects


def _take(subjects: set[str], using: str) -> list[SignalDelivery]:
    """What is due of these subjects, each whole: two processes with a part each would tell it out of order."""
    rows, now = SignalDelivery.objects.using(using), timezone.now()
    pending = rows.filter(subject__in=subjects, status=SignalDelivery.Status.PENDING)
    about = dict(pending.order_by("pk").values_list("pk", "subject"))
    with transaction.atomic(using=using, durable=True):
        free = hold(list(about), using) if about and skips_locked(using) else about
        in_hand = {subject for pk, subject in about.items() if pk not in free}
        pks = [pk for pk, subject in about.items() if subject not in in_hand]
        mine = rows.filter(pk__in=pks, status=SignalDelivery.Status.PENDING, next_attempt_at__lte=now)
        mine.update(next_attempt_at=now + RESERVATION)
    return sorted(rows.filter(pk__in=pks, next_attempt_at=now + RESERVATION), key=outbox.sequence)


def _amend(row: SignalDelivery, using: str, **facts: Any) -> bool:
    """Change the row, unless another process has taken it or has its receiver in hand."""
    mine = {"status": SignalDelivery.Status.PENDING, "next_attempt_at": row.next_attempt_at}
    with transaction.atomic(using=using, durable=True):
        if skips_locked(using) and not hold([row.pk], using):
            return False
        return bool(SignalDelivery.objects.using(using).filter(pk=row.pk, **mine).update(**facts))


def _deliver(row: SignalDelivery, notifications: dict[int, NotificationLog], using: str) -> str:
    receiver = outbox.receiver(row.signal, row.receiver)
    if receiver is None:
        return _postpone(row, f"no receiver {row.receiver!r} is connected to {row.signal}", using)
    if row.signal in outbox.OF_REFUNDS and _payment_is_open(row, using):
        return _postpone(row, "its payment was not reported, or not told, before", using)
    if row.attempts >= MAX_ATTEMPTS:
        return _give_up(row, "The process ended during the last attempt.", using)
    # Counted and committed before the call: a receiver that kills its process is not tried for ever.
    attempts, again = row.attempts + 1, next_attempt(row.attempts + 1)
    if not _amend(row, using, attempts=attempts, next_attempt_at=again):
        return "busy"
    row.attempts, row.next_attempt_at = attempts, again
    known = outbox.Known(notifications.get(row.payload["notification"]))
    ended = tell(row, receiver, using=using, known=known, counted=True)
    return "gave_up" if ended == "failed" and row.attempts >= MAX_ATTEMPTS else ended


def _payment_is_open(row: SignalDelivery, using: str) -> bool:
    order = Order.objects.using(using).filter(deliveries=row, status=Order.Status.PAID)
    before = SignalDelivery.objects.using(using).filter(
        order=row.order_id, signal="payment_confirmed", status=SignalDelivery.Status.PENDING
    )
    return not order.exists() or before.exists()


def _postpone(row: SignalDelivery, why: str, using: str) -> str:
    """Look again later, uncounted: it is not the receiver that failed."""
    if timezone.now() - row.created_at > PATIENCE:
        return _give_up(row, f"Not run: {why}.", using)
    if why not in _reported:
        _reported.add(why)
        logger.warning("deliveries wait: %s", ascii(why)[1:-1])
    return "waiting" if _amend(row, using, next_attempt_at=timezone.now() + WAIT) else "gone"


def _give_up(row: SignalDelivery, why: str, using: str) -> str:
    text = f"{row.last_error}\n{why}".strip()
    if not _amend(row, using, status=SignalDelivery.Status.GAVE_UP, last_error=text):
        return "gone"
    logger.error("delivery %s of %s was given up", row.pk, ascii(row.receiver)[1:-1])
    return "gave_up"
