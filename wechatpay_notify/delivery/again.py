"""Again: deliveries that a person wants tried once more, run at once in this process.

Never runs what was called off because the whole payment was refunded, nor what another process has in hand.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from django.db import router, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from wechatpay_notify.contention import must_commit, skips_locked
from wechatpay_notify.models import Discrepancy, SignalDelivery

from . import outbox
from .telling import MAX_ATTEMPTS, hold, is_overtaken, with_receivers
from .worker import RESERVATION, run_reserved

BATCH = 500
"""Primary keys in one query."""


def eligible(queryset: QuerySet[SignalDelivery], *, force: bool) -> QuerySet[SignalDelivery]:
    """Those that may be delivered again: pending and given up ones, with `force` also what is done.

    Never what was called off, nor a payment to be fulfilled of which all is refunded by now.
    """
    done = Q() if force else ~Q(status=SignalDelivery.Status.DONE)
    called_off = Q(status=SignalDelivery.Status.GAVE_UP, last_error=outbox.WHOLLY_REFUNDED)
    refunded = Q(signal="payment_confirmed", order__refunded_amount__gte=F("order__amount"))
    return queryset.filter(done, ~called_off).exclude(refunded)


def deliver_again(
    pks: list[int],
    *,
    force: bool = False,
    unless_done_since: datetime | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> Counter[str]:
    """Run the receivers of these deliveries now, a refund's after its payment's; how many were "done", "failed",
    "waiting", "gave_up", or "gone": not eligible, or in another process's hands.

    What was given up, and with `force` what was done, has all its attempts again under the same idempotency key; not
    what was done later than `unless_done_since`, when somebody decided about it.
    `told` hears how each ended. Call it outside of a transaction. Raises database errors that are no receiver's.
    """
    using = router.db_for_write(SignalDelivery)
    must_commit(using)
    counted: Counter[str] = Counter()
    for pk in _in_sequence(pks, using):
        rows = SignalDelivery.objects.using(using).filter(pk=pk)
        if unless_done_since is not None:
            rows = rows.exclude(done_at__gt=unless_done_since)
        for ended in _deliver_again(rows, using, force=force):
            counted[ended] += 1
            told(ended)
    return counted


def _in_sequence(pks: list[int], using: str) -> list[int]:
    """Each once, in the order in which receivers are told."""
    wanted = sorted(set(pks))
    rows: list[SignalDelivery] = []
    for start in range(0, len(wanted), BATCH):
        rows += SignalDelivery.objects.using(using).filter(pk__in=wanted[start : start + BATCH]).only("signal")
    return [row.pk for row in sorted(rows, key=outbox.sequence)]


def _deliver_again(rows: QuerySet[SignalDelivery], using: str, *, force: bool) -> Iterator[str]:
    row = eligible(rows, force=force).first()
    if row is None or _is_overtaken(row, using) or not _reserve(row, using):
        yield "gone"
        return
    yield from run_reserved(with_receivers([row], using), using)


def _is_overtaken(row: SignalDelivery, using: str) -> bool:
    """Whether an unexpected payment was confirmed meanwhile: nobody must be told to refund it."""
    try:
        return row.signal == "payment_unexpected" and is_overtaken(outbox.arguments(row, outbox.Known(), using), using)
    except Discrepancy.DoesNotExist:
        return False


def _reserve(row: SignalDelivery, using: str) -> bool:
    """Make it pending and this process's for a while, unless somebody else has changed it or has it in hand."""
    seen: dict[str, Any] = {name: getattr(row, name) for name in ("status", "attempts", "next_attempt_at", "done_at")}
    goes_on = row.status == SignalDelivery.Status.PENDING and row.attempts < MAX_ATTEMPTS
    row.status, row.attempts = SignalDelivery.Status.PENDING, row.attempts if goes_on else 0
    row.next_attempt_at = timezone.now() + RESERVATION
    facts = {name: getattr(row, name) for name in seen}  # when it was done before stays known
    with transaction.atomic(using=using, durable=True):
        if skips_locked(using) and not hold([row.pk], using):
            return False
        return bool(SignalDelivery.objects.using(using).filter(pk=row.pk, **seen).update(**facts))
