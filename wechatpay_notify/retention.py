"""Retention: which rows of the log are old enough to go, and why others stay; the ledger of v3's events goes with them.

Never touches an order, refund, discrepancy or unfinished delivery, nor what tells a replay from something new.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import router, transaction
from django.db.models import QuerySet

from . import refusals
from .conf import conf
from .models import Discrepancy, NotificationLog, Order, SignalDelivery
from .outcomes import OUTCOMES
from .protocol.moments import RETRY_DELAYS

BATCH = 500
"""Rows a transaction. Each may name 50 sub orders, and SQLite takes 32,766 values in a statement."""
NEVER_TAKEN = ("busy", "wrong_merchant", "source_refused", "undecryptable", "unavailable", "misconfigured", "error")
"""Outcomes that recorded nothing else: the row may be the only copy of what WeChat said."""
REFUSED = refusals.CODES.difference(NEVER_TAKEN)
"""Outcomes of what was not proven. What was proven among them (a new form, say) was never taken either."""
KINDS = {
    "refused": tuple(sorted(REFUSED)),
    # What was never taken goes first: that WeChat's next attempt was taken is why it may, and must be there to be seen.
    # A row without an outcome was recorded and not answered: its process ended.
    "proven": (*NEVER_TAKEN, *sorted(OUTCOMES.keys() - REFUSED - set(NEVER_TAKEN)), ""),
}
"""Kind of row → its outcomes, in the order in which they are looked at."""

_ACKNOWLEDGED = [code for code, outcome in OUTCOMES.items() if outcome.acknowledged]
_About = tuple[str, ...]


@dataclass(slots=True)
class Pruned:
    """What went, and what stayed although it is old."""

    deleted: Counter[str] = field(default_factory=Counter)
    """By kind."""
    kept: dict[str, Counter[str]] = field(default_factory=lambda: {kind: Counter() for kind in KINDS})
    """By kind and reason."""
    events: int = 0
    """Rows of the ledger: receivers told of an event."""


def least_age() -> timedelta:
    """Until then WeChat may send a notification again, or somebody else one that he captured (v3)."""
    return timedelta(seconds=sum(RETRY_DELAYS) + conf.tolerance)


def old(before: dict[str, datetime]) -> int:
    """How many rows there are to look at."""
    using = router.db_for_write(NotificationLog)
    return sum(_old(outcome, before[kind], using).count() for kind in KINDS for outcome in KINDS[kind])


def prune(
    before: dict[str, datetime],
    *,
    pretend: bool = False,
    pause: float = 0,
    looked_at: Callable[[int], object] = lambda _: None,
) -> Pruned:
    """Delete the rows of each kind received before then that nothing needs; each batch is a transaction of its own.

    `pretend` only counts. `looked_at` hears of each batch's size.
    """
    using, pruned = router.db_for_write(NotificationLog), Pruned()
    unfinished = _unfinished(using)
    for kind, outcomes in KINDS.items():
        for outcome in outcomes:
            for rows in _batches(_old(outcome, before[kind], using)):
                needed = _needed(rows, unfinished, using)
                gone = [row for row in rows if row.pk not in needed]
                pruned.kept[kind].update(needed.values())
                pruned.deleted[kind] += len(gone)
                if gone and not pretend:
                    pruned.events += _delete(gone, using)
                    time.sleep(pause)
                looked_at(len(rows))
    return pruned


def _old(outcome: str, before: datetime, using: str) -> QuerySet[NotificationLog]:
    return NotificationLog.objects.using(using).filter(outcome=outcome, received_at__lt=before)


def _batches(rows: QuerySet[NotificationLog]) -> Iterator[list[NotificationLog]]:
    """The oldest first, along the index of outcome and time; what stays is passed over and not met again."""
    rows = rows.defer("body", "headers").order_by("received_at", "pk")
    following = rows
    while batch := list(following[:BATCH]):
        yield batch
        last = batch[-1]
        following = rows.filter(received_at__gte=last.received_at)  # for the index; the rest is for equal moments
        following = following.exclude(received_at=last.received_at, pk__lte=last.pk)


def _unfinished(using: str) -> set[int]:
    """What deliveries tell of that are pending or were given up: few, and one that is made later tells of a new row."""
    statuses = (SignalDelivery.Status.PENDING, SignalDelivery.Status.GAVE_UP)
    rows = SignalDelivery.objects.using(using).filter(status__in=statuses).order_by()
    return {payload["notification"] for payload in rows.values_list("payload", flat=True).iterator(BATCH)} - {None}


def _needed(rows: list[NotificationLog], unfinished: set[int], using: str) -> dict[int, str]:
    """Those that stay, by primary key, and why."""
    numbers = {row.pk: set(row.order_numbers()) for row in rows}
    every: set[str] = set().union(*numbers.values())
    orders, discrepancies = Order.objects.using(using), Discrepancy.objects.using(using)
    unpaid = orders.filter(out_trade_no__in=every, status=Order.Status.PENDING)
    disputed = discrepancies.filter(out_trade_no__in=every, resolved_at=None)
    reasons = {
        "an order is unpaid": set(unpaid.values_list("out_trade_no", flat=True)),
        "a discrepancy is open": set(disputed.values_list("out_trade_no", flat=True)),
    }
    never_taken = [row for row in rows if row.outcome in NEVER_TAKEN or (row.verified and row.outcome in REFUSED)]
    needed = dict.fromkeys((row.pk for row in never_taken), "never taken")
    for pk in _taken_later(never_taken, using):
        del needed[pk]
    for row in rows:
        for reason, open_numbers in reasons.items():
            if numbers[row.pk] & open_numbers:
                needed[row.pk] = reason
        if row.pk in unfinished:
            needed[row.pk] = "a delivery is unfinished"
    return needed


def _taken_later(rows: list[NotificationLog], using: str) -> list[int]:
    """Those which WeChat was answered success for when it sent the same again."""
    last: dict[_About, int] = {}
    for number in ("notification_id", "transaction_id"):
        named = {getattr(row, number) for row in rows} - {""}
        again = NotificationLog.objects.using(using).filter(**{f"{number}__in": named}, outcome__in=_ACKNOWLEDGED)
        for row in again.defer("body", "headers", "resource"):
            last[_about(row)] = max(row.pk, last.get(_about(row), 0))
    return [row.pk for row in rows if last.get(_about(row), 0) > row.pk]


def _about(row: NotificationLog) -> _About:
    """What is the same in WeChat's next attempt; v2 has no ids, and nothing else for what names no transaction."""
    if row.notification_id:
        return row.merchant, row.api_version, row.notification_id
    if row.api_version == NotificationLog.Version.V2 and row.transaction_id:
        return row.merchant, row.event_type, row.out_trade_no, row.transaction_id, row.out_refund_no
    return (str(row.pk),)


def _delete(rows: list[NotificationLog], using: str) -> int:
    """These rows, and from the ledger what was told of v3's events that no row is left of; how many of the latter.

    A replay of one cannot reach a receiver: its signature is too old. v2 signs no time, so what it told is kept for
    ever, and so is what was told of money.
    """
    logs, deliveries = NotificationLog.objects.using(using), SignalDelivery.objects.using(using)
    proven = [row for row in rows if row.verified and row.api_version == NotificationLog.Version.V3]
    ids = {row.notification_id for row in proven} - {""}
    with transaction.atomic(using=using, durable=True):
        logs.filter(pk__in=[row.pk for row in rows]).delete()
        ids -= set(logs.filter(notification_id__in=ids).values_list("notification_id", flat=True))
        subjects = {f"{row.merchant}:{row.notification_id}" for row in proven if row.notification_id in ids}
        done = deliveries.filter(
            subject__in=subjects, signal="notification_received", status=SignalDelivery.Status.DONE
        )
        pks = list(done.values_list("pk", flat=True))
        deliveries.filter(pk__in=pks).delete()
    return len(pks)
