"""Telling: one receiver after the other, each in a transaction of its own together with its mark "done".

Never waits for a receiver that another process is running, and never lets one failure stop the others.
"""

import contextlib
import copy
import random
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, connections, transaction
from django.db.models import F
from django.utils import timezone

from wechatpay_notify.contention import is_contention, is_unstorable, skips_locked
from wechatpay_notify.judgement import HEALED_BY_CONFIRMATION
from wechatpay_notify.log import logger
from wechatpay_notify.models import Discrepancy, Order, SignalDelivery
from wechatpay_notify.outcomes import worst
from wechatpay_notify.protocol.results import storable
from wechatpay_notify.protocol.types import PaymentResult
from wechatpay_notify.signals import LEDGER_SIGNALS, Receiver

from . import outbox
from .outbox import Known, names, sender

BACKOFF_SECONDS = (15, 60, 300, 1800, 7200, 21600)
"""Until the next attempt, after the first, second … one; the last for all later ones."""
JITTER = 0.25
"""Share by which a wait may be longer, so that what failed together does not come again together."""
MAX_ATTEMPTS = 20
"""Then a delivery is given up: with these waits after some four days, WeChat's own 16 attempts counted in."""
CONTENTION_TRIES = 3
MAX_ERROR = 8000
"""Characters of a traceback that are kept, its end."""

# As SQL: building these through the ORM took half of the time of a delivery (measured).
_LEDGER = SignalDelivery._meta.db_table
# By primary key alone: any other condition takes gap locks on MariaDB and stalls unrelated orders. Ordered by it too:
# else MariaDB scans an index of a small ledger, and so locks every row and gap of it.
_HOLD = f"SELECT id, status FROM {_LEDGER} WHERE id IN (%s) ORDER BY id FOR UPDATE SKIP LOCKED"  # noqa: S608
_DONE = (
    f"UPDATE {_LEDGER} SET status = 'done', attempts = attempts + %s, duration_ms = %s, done_at = %s, last_error = '' "  # noqa: S608
    "WHERE id = %s"
)


@dataclass(slots=True)
class Telling:
    """How it went."""

    outcome: str = ""
    """receiver_failed, no_receiver or busy; "" when nothing is pending any more."""
    anybody: bool = False
    """Whether a receiver was run to success here, not by another process meanwhile."""
    completed: bool = False
    """Whether `complete` was called and committed."""

    def worsen(self, outcome: str) -> None:
        self.outcome = worst([self.outcome, outcome]) if self.outcome else outcome


def run(
    rows: list[SignalDelivery], *, using: str, deadline: float, known: Known, complete: Callable[[], None]
) -> Telling:
    """Tell these receivers in order; none is started after `deadline` (monotonic seconds).

    `complete` is called in the last receiver's transaction, if all went well until then.
    Raises database errors that are not a receiver's.
    """
    rows = with_receivers(rows, using)
    telling = Telling()
    unfulfilled = False
    for number, row in enumerate(rows):
        receiver = outbox.receiver(row.signal, row.receiver)
        if unfulfilled and row.signal in outbox.OF_REFUNDS:
            telling.worsen("busy")  # nobody is told of a refund before they were told of its payment
        elif not row.receiver:
            telling.worsen("no_receiver")
        elif receiver is None or time.monotonic() > deadline:
            telling.worsen("receiver_failed")
        else:
            last = number == len(rows) - 1 and not telling.outcome
            others = [other.pk for other in rows[number + 1 :]]
            told = tell(row, receiver, others=others, using=using, known=known, complete=complete if last else None)
            if told == "busy":
                telling.worsen("busy")
                break
            if told == "failed":
                telling.worsen("receiver_failed")
            telling.anybody = telling.anybody or told == "done"
            telling.completed = last and told == "done"
        unfulfilled = unfulfilled or (row.signal == "payment_confirmed" and bool(telling.outcome))
    return telling


def next_attempt(attempts: int) -> datetime:
    """When a delivery is due again that was tried so often."""
    wait = BACKOFF_SECONDS[min(attempts, len(BACKOFF_SECONDS)) - 1]
    return timezone.now() + timedelta(seconds=wait * (1 + random.random() * JITTER))  # noqa: S311 (no secret)


def claim(pk: int, others: Iterable[int], using: str) -> str:
    """Take a pending row inside a transaction: "mine", "done" if there is nothing left to do, "taken" if another
    process holds it or one of `others`."""
    if skips_locked(using):
        pks = [pk, *others]
        found = hold(pks, using)
        if len(found) < len(pks):
            return "taken"
        return "mine" if found[pk] == SignalDelivery.Status.PENDING else "done"
    # SQLite has one writer: writing first takes the lock, and a deferred transaction never has to be upgraded.
    mine = SignalDelivery.objects.using(using).filter(pk=pk, status=SignalDelivery.Status.PENDING)
    return "mine" if mine.update(attempts=F("attempts")) else "done"


def hold(pks: list[int], using: str) -> dict[int, str]:
    """Lock these rows inside a transaction, passing over those that another holds; their statuses."""
    with connections[using].cursor() as cursor:
        cursor.execute(_HOLD % ", ".join(["%s"] * len(pks)), pks)
        return dict(cursor.fetchall())


def _moment(value: datetime, using: str) -> Any:
    """As this database's driver takes it."""
    return SignalDelivery._meta.get_field("next_attempt_at").get_db_prep_value(value, connections[using])


def tell(
    row: SignalDelivery,
    receiver: Receiver,
    *,
    using: str,
    known: Known,
    others: Iterable[int] = (),
    complete: Callable[[], None] | None = None,
    counted: bool = False,
) -> str:
    """Call one receiver in one transaction with its mark: "done", "failed", "busy", or "gone" if another was first.

    `counted` if the attempt is counted and its next time set already.
    """
    for attempt in range(1, CONTENTION_TRIES + 1):
        started = time.monotonic()
        claimed, ended = "", False
        try:
            with transaction.atomic(using=using, durable=True):
                claimed = claim(row.pk, others, using)
                if claimed != "mine":
                    return "busy" if claimed == "taken" else "gone"
                arguments = outbox.arguments(row, known, using)
                if is_overtaken(arguments, using):
                    SignalDelivery.objects.using(using).filter(pk=row.pk).delete()
                    return "gone"
                if _is_refunded(row, arguments):
                    SignalDelivery.objects.using(using).filter(pk=row.pk).update(**outbox.called_off(row))
                    return "gone"
                with _savepoint(using):
                    receiver(signal=LEDGER_SIGNALS[row.signal], sender=sender(row.signal), **arguments)
                _mark_done(row, started, using, attempts=0 if counted else 1)
                if complete:
                    complete()
                ended = True
            return "done"
        except Exception as error:
            if is_contention(error) and attempt < CONTENTION_TRIES and not ended:
                continue
            if claimed != "mine":
                raise
            noted = _note(row, error, started, using, counted=counted)
            if noted == "gone" and ended:
                # The transaction had committed: what raised was one of the receiver's on_commit callbacks.
                logger.exception("an on_commit callback of %s raised after it was done", row.receiver)
                return "done"
            return noted
    raise AssertionError("unreachable: the last attempt returns")


def _mark_done(row: SignalDelivery, started: float, using: str, *, attempts: int) -> None:
    with connections[using].cursor() as cursor:
        cursor.execute(_DONE, [attempts, milliseconds(started), _moment(timezone.now(), using), row.pk])


@contextlib.contextmanager
def _savepoint(using: str) -> Iterator[None]:
    """Around a receiver on MySQL, where a deadlock ends the whole transaction: if the receiver swallows the error, its
    writes are gone and so is the savepoint, and releasing it raises before anything is marked done."""
    if connections[using].vendor != "mysql":
        yield
        return
    with transaction.atomic(using=using):
        yield
        if transaction.get_rollback(using):  # else the savepoint alone would be rolled back, without a word
            raise transaction.TransactionManagementError("the receiver marked its transaction for rollback")


def _note(row: SignalDelivery, error: Exception, started: float, using: str, *, counted: bool) -> str:
    """Record a failure: "failed"; or "gone" if the row is done after all, "busy" if another process is at it again."""
    logger.error("receiver %s of %s failed", row.receiver, row.signal, exc_info=error)
    attempts = row.attempts if counted else row.attempts + 1
    facts: dict[str, Any] = (
        {} if counted else {"attempts": F("attempts") + 1, "next_attempt_at": next_attempt(attempts)}
    )
    if attempts >= MAX_ATTEMPTS:
        facts["status"] = SignalDelivery.Status.GAVE_UP
    facts["duration_ms"] = milliseconds(started)
    said = storable("".join(traceback.format_exception(error)))[-MAX_ERROR:]
    try:
        return _keep(row, said, facts, using)
    except DatabaseError as refused:
        if not is_unstorable(refused):
            raise
        return _keep(row, said.encode("ascii", "backslashreplace").decode()[-MAX_ERROR:], facts, using)


def _keep(row: SignalDelivery, said: str, facts: dict[str, Any], using: str) -> str:
    with transaction.atomic(using=using, durable=True):
        # Claimed anew: since the rollback another process may be running this receiver, and nothing waits for one.
        claimed = claim(row.pk, (), using)
        if claimed != "mine":
            return "busy" if claimed == "taken" else "gone"
        SignalDelivery.objects.using(using).filter(pk=row.pk).update(last_error=said, **facts)
    return "failed"


def with_receivers(rows: list[SignalDelivery], using: str) -> list[SignalDelivery]:
    """Replace placeholders by the receivers that are connected by now."""
    placeholders = [row for row in rows if not row.receiver and names(row.signal)]
    if not placeholders:
        return rows
    made = [row for row in rows if row not in placeholders]
    for row in placeholders:
        with transaction.atomic(using=using, durable=True):
            if claim(row.pk, (), using) == "mine":
                _replace(row, using)
        # Read again whoever replaced it: what is pending now must not be answered with success.
        made += SignalDelivery.objects.using(using).filter(
            subject=row.subject, signal=row.signal, status=SignalDelivery.Status.PENDING
        )
    return sorted(made, key=outbox.sequence)


def _replace(placeholder: SignalDelivery, using: str) -> None:
    rows = []
    for name in names(placeholder.signal):
        row = copy.copy(placeholder)
        row.pk, row.receiver = None, name
        rows.append(row)
    SignalDelivery.objects.using(using).bulk_create(rows, ignore_conflicts=True)
    SignalDelivery.objects.using(using).filter(pk=placeholder.pk).delete()


def _is_refunded(row: SignalDelivery, arguments: dict[str, Any]) -> bool:
    """Whether all of the payment was given back since the delivery was made: it must not be fulfilled."""
    if row.signal != "payment_confirmed":
        return False
    order: Order | None = arguments["order"]
    return order is not None and order.refunded_amount >= order.amount


def is_overtaken(arguments: dict[str, Any], using: str) -> bool:
    """Whether the payment that was to be told as unexpected was confirmed meanwhile; its discrepancy ends then."""
    discrepancy: Discrepancy | None = arguments.get("discrepancy")
    if discrepancy is None or discrepancy.reason not in HEALED_BY_CONFIRMATION:
        return False
    payment: PaymentResult = arguments["payment"]  # of this merchant: another one may use the same order number
    numbers = {name: getattr(payment, name) for name in ("mchid", "sub_mchid", "out_trade_no", "transaction_id")}
    if not Order.objects.using(using).filter(status=Order.Status.PAID, **numbers).exists():
        return False
    Discrepancy.objects.using(using).filter(pk=discrepancy.pk, resolved_at=None).update(
        resolved_at=timezone.now(), resolution="this payment was confirmed meanwhile"
    )
    return True


def milliseconds(started: float) -> int:
    """Since `started` (monotonic seconds)."""
    return int((time.monotonic() - started) * 1000)
