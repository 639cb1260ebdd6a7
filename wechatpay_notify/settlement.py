"""Settlement: judge, record and tell the payments or the refund of one notification, or of one query answer.

First the fact, then the telling: what happened is committed before any receiver runs.
"""

import dataclasses
from typing import Any

from django.db import IntegrityError, router, transaction
from django.utils import timezone

from . import delivery, facts
from .conf import DELIVERIES, conf
from .contention import is_contention, is_unstorable, must_commit
from .judgement import Verdict, judge, judge_event
from .models import NotificationLog, Order, SignalDelivery
from .outcomes import OUTCOMES, worst
from .protocol.types import Merchant, Notification, PaymentResult, Result

TX1_TRIES = 4
"""The fact's transaction runs at most this often: once, and three more times after contention."""
ANSWER = ("outcome", "http_status", "duration_ms")
"""The columns of a log row that are written after it was stored, once."""


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
        self.noted = "" if row is None else row.detail
        """What was remarked of the request before it was judged."""
        self.doubtful = False
        """After a unique constraint refused: something that should be new is there already."""
        self.made: list[SignalDelivery] = []

    def run(self, results: tuple[Result, ...]) -> str:
        must_commit(self.using)
        verdicts = self._record(results)
        code = _code(verdicts)
        if _only_logged(verdicts) or not conf.is_inline:
            return code
        telling = delivery.run(
            self._due(verdicts),
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

    def _record(self, results: tuple[Result, ...]) -> list[Verdict]:
        """Judge and commit the fact; again from the reading when somebody else was first."""
        plain = False
        for attempt in range(1, TX1_TRIES + 1):
            verdicts = self._judge(results)
            try:
                self._transaction_1(verdicts)
                return verdicts
            except facts.Held:
                return self._hold(verdicts)
            except Exception as error:
                unstorable = is_unstorable(error) and not plain
                retry = isinstance(error, facts.Moved | IntegrityError) or is_contention(error) or unstorable
                if self.row is not None:
                    self.row.pk = None  # rolled back, whatever it was; SQLite gives the number to another row
                if attempt == TX1_TRIES or not retry:
                    raise
                self.doubtful = self.doubtful or isinstance(error, IntegrityError)
                if unstorable:
                    plain, results = True, self._strip(results)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _hold(self, verdicts: list[Verdict]) -> list[Verdict]:
        """Record the delivery alone; WeChat sends it again."""
        held = [Verdict(outcome="busy", result=v.result, detail="a receiver holds the row") for v in verdicts]
        self._transaction_1(held)
        return held

    def _judge(self, results: tuple[Result, ...]) -> list[Verdict]:
        verdicts = [
            judge(result, self.merchant, self.using, notification=self.notification, doubtful=self.doubtful)
            for result in results
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
            details = (self.noted, *(verdict.detail for verdict in verdicts))
            self.row.detail = "; ".join(filter(None, details))[:500]
        if _only_logged(verdicts):
            self._complete(_code(verdicts))
            return
        self.made = []
        with transaction.atomic(using=self.using, durable=True):
            self._move(verdicts)
            if self.row is not None:
                if not conf.is_inline:
                    answer(self.row, _code(verdicts), self.started)
                self.row.save(using=self.using, force_insert=True)
            rows: list[SignalDelivery] = []
            conflicts = not all(v.settles or v.refunds for v in verdicts if v.fresh) or self.doubtful
            for verdict in verdicts:
                rows += self._record_beside(verdict)
            if rows:
                # Who won the compare-and-set is the first to tell: without conflicts the database returns the keys.
                self.made = SignalDelivery.objects.using(self.using).bulk_create(rows, ignore_conflicts=conflicts)
            if conf.DELIVERY not in DELIVERIES:
                transaction.on_commit(_wake, using=self.using, robust=True)

    def _move(self, verdicts: list[Verdict]) -> None:
        for verdict, order in _settling(verdicts):
            facts.settle(verdict, order, self.merchant.alias, self.confirmed_by, self.using)
        for verdict in verdicts:
            if verdict.refunds and verdict.order is not None:
                facts.refund(verdict, verdict.order, self.using)

    def _record_beside(self, verdict: Verdict) -> list[SignalDelivery]:
        """What goes with a fact: its discrepancy, and who is to be told."""
        if verdict.reason:
            facts.record_discrepancy(verdict, self.merchant.alias, self.using)
        if verdict.heals:
            facts.heal(verdict, self.using)
        return delivery.rows_for(verdict, self.row, self._event(verdict)) if verdict.fresh else []

    def _due(self, verdicts: list[Verdict]) -> list[SignalDelivery]:
        """What is to be told now of these facts: rows recorded earlier, and those just made.

        Not what waits: an unknown order for its grace, a refund for its payment.
        """
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
        waiting = {verdict.subject for verdict in verdicts if verdict.waits}
        in_grace = {verdict.subject for verdict in verdicts if verdict.outcome == "unknown_order"}
        # The grace is for the first telling; after that every notification is an attempt.
        due = [row for row in rows if row.subject not in in_grace or row.attempts or row.next_attempt_at <= now]
        return sorted((row for row in due if row.subject not in waiting), key=delivery.sequence)

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

    def _strip(self, results: tuple[Result, ...]) -> tuple[Result, ...]:
        """The database refused a text: bytes and numbers alone are stored, no money is lost over an `attach`."""
        if self.row is not None:
            self.row.headers, self.row.resource, self.row.event_type, self.row.notification_id = {}, None, "", ""
        return tuple(
            dataclasses.replace(result, attach="", openid="", sub_openid="", bank_type="", trade_type="")
            if isinstance(result, PaymentResult)
            else result
            for result in results
        )


def _only_logged(verdicts: list[Verdict]) -> bool:
    """Whether there is nothing to record or tell but the log row, so that one statement does for both."""
    return not any(v.settles or v.refunds or v.reason or v.heals or v.fresh or v.pending for v in verdicts)


def _code(verdicts: list[Verdict]) -> str:
    """The outcome, if every receiver that is due now succeeds, or else is handed to the worker."""
    after = _after_telling if conf.is_inline else _after_handing_over
    return worst([after(verdict) for verdict in verdicts])


def _after_handing_over(verdict: Verdict) -> str:
    """The outcome when a worker will run the receivers; whose turn it is then is no matter of WeChat's."""
    placeholder = any(not row.receiver for row in verdict.pending)
    if (placeholder or (verdict.fresh and verdict.signal == "payment_confirmed")) and not delivery.names(
        "payment_confirmed"
    ):
        return worst([verdict.outcome, "no_receiver"])
    return verdict.outcome


def _wake() -> None:
    if conf.wake is not None:
        conf.wake()


def _after_telling(verdict: Verdict) -> str:
    """The outcome once the verdict's pending rows have run: a redelivery that ran something confirmed it."""
    if verdict.waits:
        return "busy"
    if verdict.outcome == "duplicate" and verdict.pending:
        return "confirmed" if any(row.signal == "payment_confirmed" for row in verdict.pending) else "unexpected"
    return verdict.outcome


def _settling(verdicts: list[Verdict]) -> list[tuple[Verdict, Order]]:
    """The orders to settle, always in the same sequence, so that two combined notifications cannot deadlock."""
    return sorted(((v, v.settles) for v in verdicts if v.settles), key=lambda pair: pair[1].pk)


def answer(row: NotificationLog, code: str, started: float) -> None:
    row.outcome = code
    if row.replay_of is None:  # else there is nobody to be answered
        row.http_status = OUTCOMES[code].http_status("v2" if row.api_version == "v2" else "v3")
    row.duration_ms = delivery.milliseconds(started)
