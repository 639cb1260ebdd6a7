"""Settlement: judge, record and tell the payments of one notification, or of one query answer.

First the fact, then the telling: what happened is committed before any receiver runs.
"""

import dataclasses
from typing import Any

from django.db import DataError, IntegrityError, OperationalError, router, transaction
from django.db.models import F
from django.utils import timezone

from . import delivery
from .conf import conf
from .contention import is_contention, skips_locked
from .judgement import Verdict, already_paid, healed_by, judge, judge_event
from .models import Discrepancy, NotificationLog, Order, SignalDelivery
from .outcomes import OUTCOMES, worst
from .protocol.types import Merchant, Notification, PaymentResult

TX1_TRIES = 4
"""The fact's transaction runs at most this often: once, and three more times after contention."""
ANSWER = ("outcome", "http_status", "duration_ms")
"""The columns of a log row that are written after it was stored, once."""


class _Held(Exception):
    """A receiver holds the order's row."""


class _Moved(OperationalError):
    """The compare-and-set found the order changed since it was read."""


class Settlement:
    """One run down the line: judge, record (transaction 1), tell (transactions 2)."""

    def __init__(
        self,
        merchant: Merchant,
        notification: Notification | None,
        row: NotificationLog | None,
        started: float,
        confirmed_by: str = "notification",
    ) -> None:
        self.using = router.db_for_write(SignalDelivery)
        self.merchant, self.notification, self.row = merchant, notification, row
        self.started, self.confirmed_by = started, confirmed_by
        self.doubtful = False
        """After a unique constraint refused: something that should be new is there already."""
        self.made: list[SignalDelivery] = []

    def run(self, payments: tuple[PaymentResult, ...]) -> str:
        verdicts = self._record(payments)
        code = _code(verdicts)
        if _only_logged(verdicts):
            return code
        telling = delivery.run(
            self._pending(verdicts),
            using=self.using,
            deadline=self.started + conf.INLINE_SECONDS,
            known=delivery.Known(self.row, {v.order.pk: v.order for v in verdicts if v.order is not None}),
            complete=lambda: self._complete(code),
        )
        if telling.outcome:
            code = worst([code, telling.outcome])
        elif not telling.anybody:  # another process was telling them at the same moment
            for verdict in verdicts:
                verdict.pending = []
            code = _code(verdicts)
        if not telling.completed:
            self._complete(code)
        return code

    def _record(self, payments: tuple[PaymentResult, ...]) -> list[Verdict]:
        """Judge and commit the fact; again from the reading when somebody else was first."""
        plain = False
        for attempt in range(1, TX1_TRIES + 1):
            verdicts = self._judge(payments)
            try:
                self._transaction_1(verdicts)
                return verdicts
            except _Held:
                return self._hold(verdicts)
            except Exception as error:
                unstorable = _is_unstorable(error) and not plain
                retry = isinstance(error, _Moved | IntegrityError) or is_contention(error) or unstorable
                if self.row is not None:
                    self.row.pk = None  # rolled back, whatever it was; SQLite gives the number to another row
                if attempt == TX1_TRIES or not retry:
                    raise
                self.doubtful = self.doubtful or isinstance(error, IntegrityError)
                if unstorable:
                    plain, payments = True, self._strip(payments)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _hold(self, verdicts: list[Verdict]) -> list[Verdict]:
        """Record the delivery alone; WeChat sends it again."""
        held = [Verdict(outcome="busy", result=v.result, detail="a receiver holds the order's row") for v in verdicts]
        self._transaction_1(held)
        return held

    def _judge(self, payments: tuple[PaymentResult, ...]) -> list[Verdict]:
        verdicts = [
            judge(result, self.merchant, self.using, notification=self.notification, doubtful=self.doubtful)
            for result in payments
        ]
        if any(OUTCOMES[verdict.outcome].word for verdict in verdicts):
            # All or nothing: one refused sub order holds the whole combined order.
            verdicts = [verdict for verdict in verdicts if OUTCOMES[verdict.outcome].word]
        elif all(verdict.outcome == "received" for verdict in verdicts) and self.notification is not None:
            event = judge_event(self.notification, self.merchant.alias, self.using)
            event.detail = "; ".join(verdict.detail for verdict in verdicts)
            verdicts = [event]
        return verdicts

    def _transaction_1(self, verdicts: list[Verdict]) -> None:
        """The fact. It begins with the compare-and-set, or with a look whether a receiver holds the row.

        A plain redelivery writes only the log row.
        """
        if self.row is not None:
            self.row.pk = None
            self.row.detail = "; ".join(verdict.detail for verdict in verdicts if verdict.detail)[:500]
        if _only_logged(verdicts):
            self._complete(_code(verdicts))
            return
        self.made = []
        with transaction.atomic(using=self.using, durable=True):
            for verdict, order in _settling(verdicts):
                self._settle(verdict, order)
            if self.row is not None:
                self.row.save(using=self.using, force_insert=True)
            rows: list[SignalDelivery] = []
            conflicts = not all(verdict.settles for verdict in verdicts if verdict.fresh) or self.doubtful
            for verdict in verdicts:
                if verdict.reason:
                    self._record_discrepancy(verdict)
                if verdict.heals:
                    self._heal(verdict)
                if verdict.fresh:
                    rows += delivery.rows_for(verdict, self.row, self._event(verdict))
            if rows:
                # Who won the compare-and-set is the first to tell: without conflicts the database returns the keys.
                self.made = SignalDelivery.objects.using(self.using).bulk_create(rows, ignore_conflicts=conflicts)

    def _settle(self, verdict: Verdict, order: Order) -> None:
        result = verdict.payment
        pending = order.status == Order.Status.PENDING
        if getattr(order, "is_being_told", False) and skips_locked(self.using):
            # A receiver (of an earlier, failed payment, say) may hold the row, and nothing waits for a receiver.
            row = Order.objects.using(self.using).filter(pk=order.pk).select_for_update(skip_locked=True)
            if not row.values_list("pk"):
                raise _Held
        if not Order.objects.settle(order, result, confirmed_by=self.confirmed_by):
            raise _Moved
        if pending and order.reference and order.settled_reference is None:
            already_paid(verdict, self.merchant.alias, self.using)

    def _record_discrepancy(self, verdict: Verdict) -> None:
        result, now = verdict.payment, timezone.now()
        rows = Discrepancy.objects.using(self.using)
        if verdict.discrepancy is None:
            verdict.discrepancy = rows.create(
                merchant=self.merchant.alias,
                out_trade_no=result.out_trade_no,
                transaction_id=result.transaction_id,
                reason=verdict.reason,
                order=verdict.order,
                amount=result.amount,
                currency=result.currency,
                expected_amount=verdict.order.amount if verdict.order else None,
            )
            verdict.subject = f"discrepancy:{verdict.discrepancy.pk}"
            return
        again = rows.filter(pk=verdict.discrepancy.pk)
        # A receiver may hold the row: then this time goes uncounted rather than wait for it.
        if not skips_locked(self.using) or list(again.select_for_update(skip_locked=True).values_list("pk")):
            again.update(times=F("times") + 1, last_seen=now)

    def _heal(self, verdict: Verdict) -> None:
        """The payment is confirmed after all: its discrepancies end, and nobody is told of them who might refund it."""
        result = verdict.payment
        healed = list(healed_by(result).using(self.using).values_list("pk", flat=True))
        Discrepancy.objects.using(self.using).filter(pk__in=self._not_held(healed)).update(
            resolved_at=timezone.now(), resolution="this payment was confirmed later"
        )
        untold = [f"discrepancy:{pk}" for pk in healed]
        for row in SignalDelivery.objects.using(self.using).filter(
            signal="payment_unexpected", subject__in=untold, status=SignalDelivery.Status.PENDING
        ):
            if delivery.claim(row.pk, (), self.using) == "mine":
                SignalDelivery.objects.using(self.using).filter(pk=row.pk).delete()

    def _not_held(self, pks: list[int]) -> list[int]:
        """Those discrepancies that no receiver holds right now; one that is being told stays open for a person."""
        if not skips_locked(self.using):
            return pks
        rows = Discrepancy.objects.using(self.using).filter(pk__in=pks).order_by("pk")
        return list(rows.select_for_update(skip_locked=True).values_list("pk", flat=True))

    def _pending(self, verdicts: list[Verdict]) -> list[SignalDelivery]:
        """What is due of these facts: rows recorded earlier, and those just made."""
        rows = [row for verdict in verdicts for row in verdict.pending]
        if all(row.pk for row in self.made):
            rows += self.made
        else:
            rows += SignalDelivery.objects.using(self.using).filter(
                subject__in={row.subject for row in self.made},
                signal__in={row.signal for row in self.made},
                status=SignalDelivery.Status.PENDING,
            )
        now = timezone.now()
        waiting = {verdict.subject for verdict in verdicts if verdict.outcome == "unknown_order"}
        # The grace is for the first telling; after that every notification is an attempt.
        due = [row for row in rows if row.subject not in waiting or row.attempts or row.next_attempt_at <= now]
        return sorted(due, key=lambda row: row.pk)

    def _complete(self, code: str) -> None:
        if self.row is not None:
            answer(self.row, code, self.started)
            if self.row.pk is None:
                self.row.save(using=self.using, force_insert=True)
            else:
                self.row.save(using=self.using, update_fields=ANSWER)

    def _event(self, verdict: Verdict) -> dict[str, Any]:
        if self.notification is None or verdict.result is not None:
            return {}
        return {"event_type": self.notification.event_type, "resource": dict(self.notification.resource)}

    def _strip(self, payments: tuple[PaymentResult, ...]) -> tuple[PaymentResult, ...]:
        """The database refused a text: bytes and numbers alone are stored, no money is lost over an `attach`."""
        if self.row is not None:
            self.row.headers, self.row.resource, self.row.event_type, self.row.notification_id = {}, None, "", ""
        return tuple(
            dataclasses.replace(result, attach="", openid="", sub_openid="", bank_type="", trade_type="")
            for result in payments
        )


def _only_logged(verdicts: list[Verdict]) -> bool:
    """Whether there is nothing to record or tell but the log row, so that one statement does for both."""
    return not any(v.settles or v.reason or v.heals or v.fresh or v.pending for v in verdicts)


def _code(verdicts: list[Verdict]) -> str:
    """The outcome, if every receiver that is due now succeeds."""
    return worst([_after_telling(verdict) for verdict in verdicts])


def _after_telling(verdict: Verdict) -> str:
    """The outcome once the verdict's pending rows have run: a redelivery that ran something confirmed it."""
    if verdict.outcome == "duplicate" and verdict.pending:
        return "confirmed" if any(row.signal == "payment_confirmed" for row in verdict.pending) else "unexpected"
    return verdict.outcome


def _settling(verdicts: list[Verdict]) -> list[tuple[Verdict, Order]]:
    """The orders to settle, always in the same sequence, so that two combined notifications cannot deadlock."""
    return sorted(((v, v.settles) for v in verdicts if v.settles), key=lambda pair: pair[1].pk)


def _is_unstorable(error: Exception) -> bool:
    # 1366: MySQL's "incorrect string value", as for emoji in utf8mb3.
    return isinstance(error, DataError) or (isinstance(error, OperationalError) and error.args[:1] == (1366,))


def answer(row: NotificationLog, code: str, started: float) -> None:
    row.outcome = code
    row.http_status = OUTCOMES[code].http_status("v2" if row.api_version == "v2" else "v3")
    row.duration_ms = delivery.milliseconds(started)
