"""Receivers that came, went or were renamed: what becomes of their rows in the ledger, when somebody says so.

Never runs one, and never has what is done run again.
"""

from datetime import datetime

from django.db import router
from django.db.models import F, QuerySet
from django.utils import timezone

from wechatpay_notify.models import SignalDelivery
from wechatpay_notify.signals import LEDGER_SIGNALS

from . import outbox
from .outbox import names

__all__ = ["CLOSED", "close", "enlist", "given_up", "is_connected", "missing", "names", "rename"]

BATCH = 500
CLOSED = "Closed: "
"""How the reason of a row begins that a person gave up."""


def given_up() -> QuerySet[SignalDelivery]:
    """What somebody has to look at: neither called off because the money went back, nor closed by a person."""
    rows = _all().filter(status=SignalDelivery.Status.GAVE_UP)
    return rows.exclude(last_error=outbox.WHOLLY_REFUNDED).exclude(last_error__startswith=CLOSED)


def missing() -> list[tuple[str, str, int]]:
    """Signal, receiver and count of the pending rows whose receiver is not connected in this process."""
    counted: dict[tuple[str, str], int] = {}
    for signal, name in _pending().values_list("signal", "receiver"):
        if name and outbox.receiver(signal, name) is None:
            counted[signal, name] = counted.get((signal, name), 0) + 1
    return [(*key, count) for key, count in sorted(counted.items())]


def is_connected(name: str) -> bool:
    """Whether a receiver of this name is connected to a signal of the ledger in this process."""
    return any(name in names(signal) for signal in LEDGER_SIGNALS)


def close(name: str, reason: str) -> int:
    """Give up the pending rows of a receiver that will not come back; how many."""
    rows = _pending().filter(receiver=name)
    return rows.update(status=SignalDelivery.Status.GAVE_UP, last_error=f"{CLOSED}{reason}")


def rename(old: str, new: str) -> int:
    """Let the rows of one name be another's: the function was moved. How many; done ones are renamed too.

    A row that the new name has already stays as it is.
    """
    rows, renamed = _all().filter(receiver=old), 0
    for pk, subject, signal in rows.values_list("pk", "subject", "signal"):
        if not _all().filter(subject=subject, signal=signal, receiver=new).exists():
            renamed += _all().filter(pk=pk, receiver=old).update(receiver=new)
    return renamed


def enlist(signal: str, name: str, since: datetime) -> int:
    """Have a receiver that is new told of what others were told of since then; how many rows were made."""
    made, told = 0, _all().filter(signal=signal, created_at__gte=since).exclude(receiver=name)
    if signal == "payment_confirmed":
        told = told.filter(order__refunded_amount__lt=F("order__amount"))  # nobody fulfils what is wholly refunded
    subjects: dict[str, SignalDelivery] = {}
    for row in told.order_by("pk").iterator(BATCH):
        subjects.setdefault(row.subject, row)
        if len(subjects) >= BATCH:
            made += _enlist(subjects, signal, name)
            subjects = {}
    return made + _enlist(subjects, signal, name)


def _enlist(subjects: dict[str, SignalDelivery], signal: str, name: str) -> int:
    has = set(_all().filter(signal=signal, receiver=name, subject__in=subjects).values_list("subject", flat=True))
    rows = [
        SignalDelivery(
            signal=signal,
            subject=subject,
            receiver=name,
            order_id=row.order_id,
            payload=row.payload,
            next_attempt_at=timezone.now(),
        )
        for subject, row in subjects.items()
        if subject not in has
    ]
    _all().bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def _all() -> QuerySet[SignalDelivery]:
    return SignalDelivery.objects.using(router.db_for_write(SignalDelivery))


def _pending() -> QuerySet[SignalDelivery]:
    return _all().filter(status=SignalDelivery.Status.PENDING)
