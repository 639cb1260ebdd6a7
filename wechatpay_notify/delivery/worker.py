"""The worker: runs what is due of the ledger, outside of any request, in any number of processes at once.

Never waits for a receiver that another process is running, and never lets one failure hold up the rest.
"""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

from django.db import router, transaction
from django.db.models import QuerySet
from django.utils import timezone

from wechatpay_notify.contention import skips_locked
from wechatpay_notify.log import logger
from wechatpay_notify.models import Order, SignalDelivery
from wechatpay_notify.signals import LEDGER_SIGNALS

from . import outbox
from .telling import MAX_ATTEMPTS, next_attempt, tell, with_receivers

BATCH = 20
RESERVATION = timedelta(seconds=60)
"""How long a batch is one process's alone. Whoever is killed leaves its rows to the others after that."""
WAIT = timedelta(seconds=60)
"""Until a delivery that has to wait is looked at again: for its payment, or for a receiver that is not there."""
PATIENCE = timedelta(days=7)
"""How long one waits before it is given up."""

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
    counted: Counter[str] = Counter()
    while not stop():
        rows = _reserve(using)
        if rows is None:
            break
        rows = with_receivers(rows, using)
        while rows and not stop():
            ended = _deliver(rows.pop(0), using)
            counted[ended] += 1
            told(ended)
        _release(rows, using)
    return counted


def _due(using: str) -> QuerySet[SignalDelivery]:
    rows = SignalDelivery.objects.using(using)
    return rows.filter(status=SignalDelivery.Status.PENDING, next_attempt_at__lte=timezone.now())


def _reserve(using: str) -> list[SignalDelivery] | None:
    """The next rows, this process's alone for a while; None if nothing is due."""
    pks = list(_due(using).order_by("next_attempt_at", "pk").values_list("pk", flat=True)[:BATCH])
    if not pks:
        return None
    rows, now = SignalDelivery.objects.using(using), timezone.now()
    with transaction.atomic(using=using, durable=True):
        if skips_locked(using):
            # By primary key alone, and ordered by it: anything else takes gap locks on MariaDB.
            free = rows.filter(pk__in=pks).order_by("pk").select_for_update(skip_locked=True)
            pks = list(free.values_list("pk", flat=True))
        mine = rows.filter(pk__in=pks, status=SignalDelivery.Status.PENDING, next_attempt_at__lte=now)
        mine.update(next_attempt_at=now + RESERVATION)
    return sorted(rows.filter(pk__in=pks, next_attempt_at=now + RESERVATION), key=outbox.sequence)


def _release(rows: list[SignalDelivery], using: str) -> None:
    """Give back what was reserved and not begun."""
    for row in rows:
        _reserved(row, using).update(next_attempt_at=timezone.now())


def _reserved(row: SignalDelivery, using: str) -> QuerySet[SignalDelivery]:
    """The row, as long as nobody else has taken it."""
    rows = SignalDelivery.objects.using(using)
    return rows.filter(pk=row.pk, status=SignalDelivery.Status.PENDING, next_attempt_at=row.next_attempt_at)


def _deliver(row: SignalDelivery, using: str) -> str:
    receiver = LEDGER_SIGNALS[row.signal].receiver(row.receiver, outbox.sender(row.signal))
    if receiver is None:
        return _postpone(row, f"no receiver {row.receiver!r} is connected to {row.signal}", using)
    if row.signal in outbox.OF_REFUNDS and _payment_is_open(row, using):
        return _postpone(row, "its payment was not reported, or not told, before", using)
    if row.attempts >= MAX_ATTEMPTS:
        return _give_up(row, "The process ended during the last attempt.", using)
    # Counted and committed before the call: a receiver that kills its process is not tried for ever.
    if not _count(row, using):
        return "gone"
    ended = tell(row, receiver, using=using, known=outbox.Known(), counted=True)
    if ended == "failed" and row.attempts >= MAX_ATTEMPTS:
        return "gave_up"
    return "gone" if ended == "busy" else ended


def _count(row: SignalDelivery, using: str) -> bool:
    with transaction.atomic(using=using, durable=True):
        held = SignalDelivery.objects.using(using).filter(pk=row.pk).select_for_update(skip_locked=True)
        if skips_locked(using) and not held.values_list("pk"):
            return False
        again = next_attempt(row.attempts + 1)
        moved = _reserved(row, using).update(attempts=row.attempts + 1, next_attempt_at=again)
    row.attempts, row.next_attempt_at = row.attempts + 1, again
    return bool(moved)


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
    _reserved(row, using).update(next_attempt_at=timezone.now() + WAIT)
    return "waiting"


def _give_up(row: SignalDelivery, why: str, using: str) -> str:
    text = f"{row.last_error}\n{why}".strip()
    _reserved(row, using).update(status=SignalDelivery.Status.GAVE_UP, last_error=text)
    logger.error("delivery %s of %s was given up", row.pk, ascii(row.receiver)[1:-1])
    return "gave_up"
