"""Judgement of a refund: what it means for the order whose payment it gives back. Reads, compares in Python, decides.

Never lets a refund mark an order paid, nor count for more than the order's amount.
"""

from typing import Any

from django.db.models import Q

from wechatpay_notify.models import Discrepancy, Order, Refund, SignalDelivery
from wechatpay_notify.protocol.types import Merchant, RefundResult

from . import orders
from .verdict import Verdict

REFUND_SIGNALS = {
    Refund.Status.SUCCESS.value: "refund_confirmed",
    Refund.Status.ABNORMAL.value: "refund_abnormal",
    Refund.Status.CLOSED.value: "refund_closed",
}
"""What is told of each state; PROCESSING, which only a query answers, tells nothing."""


def judge_refund(result: RefundResult, merchant: Merchant, using: str) -> Verdict:
    """Compare one refund with the merchant, the order and what is known of it. Raises HostError."""
    stranger = orders.not_ours(merchant, mchid=result.mchid, appid=result.appid or None, sub_mchid=result.sub_mchid)
    if stranger:
        return Verdict(result=result, outcome="wrong_merchant", detail=stranger)
    found = orders.find(result, using) or orders.resolve(result, using)
    if not found:
        return Verdict(result=result, outcome="received", detail="a refund of an order that is not known here")
    order = next((order for order in found if order.transaction_id == result.transaction_id), found[0])
    if order.transaction_id != result.transaction_id and _of_refused_payment(result, using):
        return Verdict(result=result, outcome="received", detail="a refund of a payment that was not accepted")
    known = _known(result, using)
    problem = _not_of_order(result, order) or _not_as_known(result, known) or _too_much(result, order, known)
    if problem:
        return _conflict(result, order, merchant, using, problem)
    if result.is_hint and order.transaction_id != result.transaction_id:
        return _unconfirmed(result, order)
    return _judge_state(result, order, known, using)


def _of_refused_payment(result: RefundResult, using: str) -> bool:
    """Whether it gives back a payment of another amount than the order's, which somebody was told to refund."""
    refused = orders.recorded_discrepancies(result, using).filter(reason=Discrepancy.Reason.AMOUNT_MISMATCH)
    return refused.filter(amount=result.total).exists()


def _known(result: RefundResult, using: str) -> list[Refund]:
    """What is recorded under this number or this refund_id, compared exactly."""
    numbers = {"mchid": result.mchid, "sub_mchid": result.sub_mchid, "out_refund_no": result.out_refund_no}
    rows = Refund.objects.using(using).filter(Q(**numbers) | Q(refund_id=result.refund_id))
    return [
        row
        for row in rows
        if row.refund_id == result.refund_id or all(getattr(row, name) == value for name, value in numbers.items())
    ]


def _not_of_order(result: RefundResult, order: Order) -> str:
    """What the order says otherwise, "" if it agrees."""
    for name in ("mchid", "sub_mchid", "out_trade_no"):
        if getattr(order, name) != getattr(result, name):
            return f"transaction {result.transaction_id} belongs to order {order.out_trade_no} of {order.mchid}"
    if result.total != order.amount or result.currency not in ("", order.currency):
        ordered = f"{order.amount} {order.currency}"
        return f"the refund says that {result.total} {result.currency or order.currency} were ordered, not {ordered}"
    return ""


def _not_as_known(result: RefundResult, known: list[Refund]) -> str:
    """What is recorded of this refund otherwise, "" if it agrees or is new."""
    if len(known) > 1:
        return f"{result.out_refund_no} and {result.refund_id} are recorded as two refunds"
    for refund in known:
        said = (result.out_refund_no, result.refund_id, result.transaction_id, result.amount)
        if said != (refund.out_refund_no, refund.refund_id or result.refund_id, refund.transaction_id, refund.amount):
            return f"recorded is {refund.out_refund_no}: {refund.amount} of transaction {refund.transaction_id}"
        if {refund.status, result.refund_status} == {Refund.Status.SUCCESS.value, Refund.Status.CLOSED.value}:
            return f"{refund.out_refund_no} is recorded as {refund.status}, reported as {result.refund_status}"
    return ""


def _too_much(result: RefundResult, order: Any, known: list[Refund]) -> str:
    """Whether more would be given back than is left, "" if not."""
    if result.refund_status == Refund.Status.CLOSED or not _moves(result, known):
        return ""
    left = order.amount - _counted_before(order, known)
    if result.amount > left:
        return f"refunded are {result.amount}, left are {left} of {order.amount}"
    return ""


def _moves(result: RefundResult, known: list[Refund]) -> bool:
    """Whether this is news: a refund that is not known, or a state that the known one may come to."""
    return all(result.refund_status in Refund.MOVES.get(refund.status, ()) for refund in known)


def _counted_before(order: Any, known: list[Refund]) -> int:
    """What the other refunds of this transaction come to."""
    return int(order.refunded) - sum(row.amount for row in known if row.status != Refund.Status.CLOSED)


def _unconfirmed(result: RefundResult, order: Order) -> Verdict:
    """A hint is believed only of the transaction that paid the order."""
    if order.status == Order.Status.PAID:
        return Verdict(result=result, outcome="received", detail="a v2 notice of another transaction of this order")
    return Verdict(result=result, outcome="busy", order=order, detail="a v2 notice of a payment not reported yet")


def _judge_state(result: RefundResult, order: Any, known: list[Refund], using: str) -> Verdict:
    """The record agrees: move the refund, or see whether anybody is still to be told of it."""
    refund = known[0] if known else None
    verdict = Verdict(result=result, outcome="refunded", order=order, refund=refund)
    moves = _moves(result, known)
    if moves:
        counted = _counted_before(order, known)
        if result.refund_status != Refund.Status.CLOSED:
            counted += result.amount
        counts = order.status != Order.Status.PAID or order.transaction_id == result.transaction_id
        # Rows that the shop recorded when it asked, again and again, may come to more than there is.
        verdict.refunds, verdict.refunded = True, min(counted, order.amount) if counts else order.refunded_amount
        verdict.signal = REFUND_SIGNALS.get(result.refund_status, "")
        verdict.fresh = bool(verdict.signal)
    if order.status != Order.Status.PAID:
        verdict.waits, verdict.detail = True, "recorded; its payment has not been reported yet"
    # A known refund may have been recorded since the order was read. Where one moves, the compare-and-set would tell.
    elif order.is_being_told or not moves:
        verdict.pending = _pending(order, refund, using)
    if not moves and not verdict.pending:
        verdict.outcome = "duplicate"
    return verdict


def _pending(order: Order, refund: Refund | None, using: str) -> list[SignalDelivery]:
    """What is to be told first, of the payment, and what is left to tell of this refund."""
    rows = SignalDelivery.objects.using(using).filter(order=order.pk, status=SignalDelivery.Status.PENDING)
    ours = [f"refund:{refund.pk}:{status}" for status in REFUND_SIGNALS] if refund else []
    return [row for row in rows.order_by("pk") if row.signal == "payment_confirmed" or row.subject in ours]


def _conflict(result: RefundResult, order: Any, merchant: Merchant, using: str, detail: str) -> Verdict:
    reason = Discrepancy.Reason.REFUND_CONFLICT
    return Verdict(
        result=result,
        outcome="conflict",
        order=order if order.mchid == result.mchid else None,
        reason=reason,
        discrepancy=orders.recorded_discrepancy(result, merchant.alias, reason, using),
        detail=detail,
    )
