"""Facts: what transaction 1 writes of a verdict: an order settled, a refund recorded, a discrepancy opened or ended.

Never waits for a receiver: rows that one may hold are looked at with SKIP LOCKED first, where the database has it.
"""

from typing import Any

from django.db import OperationalError
from django.db.models import F, Model, QuerySet
from django.utils import timezone

from . import delivery
from .contention import skips_locked
from .judgement import Verdict, already_paid, healed_by
from .models import Discrepancy, Order, Refund, SignalDelivery
from .protocol.types import RefundResult, Result


class Held(Exception):
    """A receiver holds a row that the fact is about."""


class Moved(OperationalError):
    """The compare-and-set found the order or refund changed since it was read."""


def settle(verdict: Verdict, order: Order, alias: str, confirmed_by: str, using: str) -> None:
    """Move an order to paid. Raises Held, Moved, IntegrityError."""
    pending = order.status == Order.Status.PENDING
    if getattr(order, "is_being_told", False):
        # A receiver (of an earlier, failed payment, say) may hold the row.
        _hold(Order.objects.filter(pk=order.pk), using)
    if not Order.objects.settle(order, verdict.payment, confirmed_by=confirmed_by, refunded=verdict.refunded):
        raise Moved
    if pending and verdict.signal == "payment_confirmed" and order.reference and order.settled_reference is None:
        already_paid(verdict, alias, using)


def refund(verdict: Verdict, order: Order, using: str) -> None:
    """Record a refund or move it, and what it makes of its order. Raises Held, Moved, IntegrityError."""
    known, result = verdict.refund, verdict.refunding
    _hold(Order.objects.filter(pk=order.pk), using)
    if not Order.objects.count_refunds(order, verdict.refunded):
        raise Moved
    if known is None:
        _hold_tellings(order, using)
        known = verdict.refund = Refund.objects.record(order, result)
    else:
        _hold(Refund.objects.filter(pk=known.pk), using)
        if not Refund.objects.move(known, result):
            raise Moved
    verdict.subject = f"refund:{known.pk}:{result.refund_status}"
    if order.status == Order.Status.PAID and order.refunded_amount == order.amount:
        _give_up_fulfilment(verdict, using)
    elif result.refund_status == Refund.Status.CLOSED:
        _take_up_fulfilment(order, verdict, using)


def record_discrepancy(verdict: Verdict, alias: str, using: str) -> None:
    """Open a discrepancy, or count that it came again."""
    result, order = verdict.result, verdict.order
    if result is None:
        raise TypeError("a discrepancy is about a payment or refund")
    rows = Discrepancy.objects.using(using)
    if verdict.discrepancy is None:
        verdict.discrepancy = rows.create(
            merchant=alias,
            out_trade_no=result.out_trade_no,
            transaction_id=result.transaction_id,
            reason=verdict.reason,
            out_refund_no=_refund_number(result),
            order=order,
            amount=result.amount,
            currency=result.currency or (order.currency if order else "CNY"),
            expected_amount=order.amount if order else None,
        )
        verdict.subject = f"discrepancy:{verdict.discrepancy.pk}"
        return
    again = rows.filter(pk=verdict.discrepancy.pk)
    # A receiver may hold the row: then this time goes uncounted rather than wait for it.
    if not skips_locked(using) or list(again.select_for_update(skip_locked=True).values_list("pk")):
        again.update(times=F("times") + 1, last_seen=timezone.now(), **_anew(verdict.discrepancy, result))


def _anew(discrepancy: Discrepancy, result: Result) -> dict[str, Any]:
    """Another refund of the same transaction that contradicts the record is a matter of its own."""
    number = _refund_number(result)
    if (discrepancy.out_refund_no, discrepancy.amount) == (number, result.amount) or not number:
        return {}
    return {"out_refund_no": number, "amount": result.amount, "resolved_at": None, "resolved_by": "", "resolution": ""}


def _refund_number(result: Result) -> str:
    return result.out_refund_no if isinstance(result, RefundResult) else ""


def heal(verdict: Verdict, using: str) -> None:
    """The payment is confirmed after all: its discrepancies end, and nobody is told of them who might refund it."""
    healed = list(healed_by(verdict.payment, verdict.order).using(using).values_list("pk", flat=True))
    Discrepancy.objects.using(using).filter(pk__in=_not_held(healed, using)).update(
        resolved_at=timezone.now(), resolution="this payment was confirmed later"
    )
    untold = [f"discrepancy:{pk}" for pk in healed]
    for row in SignalDelivery.objects.using(using).filter(
        signal="payment_unexpected", subject__in=untold, status=SignalDelivery.Status.PENDING
    ):
        if delivery.claim(row.pk, (), using) == "mine":
            SignalDelivery.objects.using(using).filter(pk=row.pk).delete()


def _give_up_fulfilment(verdict: Verdict, using: str) -> None:
    """What has not been fulfilled by now must not be: the customer gets all of the money back."""
    for row in [row for row in verdict.pending if row.signal == "payment_confirmed"]:
        claimed = delivery.claim(row.pk, (), using)
        if claimed == "taken":
            raise Held
        if claimed == "mine":
            SignalDelivery.objects.using(using).filter(pk=row.pk).update(**delivery.called_off(row))
        verdict.pending.remove(row)


def _take_up_fulfilment(order: Order, verdict: Verdict, using: str) -> None:
    """The refund for which it was given up is closed: the money stays, so it is fulfilled after all."""
    given_up = {"status": SignalDelivery.Status.GAVE_UP, "last_error": delivery.WHOLLY_REFUNDED}
    rows = SignalDelivery.objects.using(using).filter(order=order.pk, signal="payment_confirmed")
    pks = list(rows.filter(**given_up).values_list("pk", flat=True))
    rows.filter(pk__in=pks).update(status=SignalDelivery.Status.PENDING, last_error="", next_attempt_at=timezone.now())
    verdict.pending += rows.filter(pk__in=pks)


def _hold(rows: QuerySet[Model], using: str) -> None:
    """Lock these rows without waiting. Raises Held; without SKIP LOCKED the write that follows takes its turn."""
    if skips_locked(using) and not rows.using(using).select_for_update(skip_locked=True).values_list("pk"):
        raise Held


def _hold_tellings(order: Order, using: str) -> None:
    """Raises Held while somebody is told of this order: a receiver that asks for a refund may just be recording it, and
    the insert would wait for it at the unique constraint."""
    told = SignalDelivery.objects.using(using).filter(order=order.pk, status=SignalDelivery.Status.PENDING)
    pks = list(told.order_by("pk").values_list("pk", flat=True)) if skips_locked(using) else []
    if pks and delivery.claim(pks[0], pks[1:], using) == "taken":
        raise Held


def _not_held(pks: list[int], using: str) -> list[int]:
    """Those discrepancies that no receiver holds right now; one that is being told stays open for a person."""
    if not skips_locked(using):
        return pks
    rows = Discrepancy.objects.using(using).filter(pk__in=pks).order_by("pk")
    return list(rows.select_for_update(skip_locked=True).values_list("pk", flat=True))
