"""Judgement of a payment: what it means for the shop's own record. Reads, compares in Python, decides.

Never writes a fact and never locks; what it saw is checked again by the compare-and-set that acts on it.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from django.db.models import Q, QuerySet

from wechatpay_notify.conf import conf
from wechatpay_notify.models import Discrepancy, Order, SignalDelivery
from wechatpay_notify.protocol.results import FAILED, PAID
from wechatpay_notify.protocol.types import Merchant, Notification, PaymentResult

from . import orders
from .events import told
from .verdict import Verdict


def judge_payment(
    result: PaymentResult, merchant: Merchant, using: str, *, notification: Notification | None, doubtful: bool
) -> Verdict:
    """Compare one payment with the merchant and the order. Raises HostError.

    `doubtful` after a unique constraint refused: then also ask whether the transaction belongs to another order.
    """
    stranger = _stranger(result, merchant, notification)
    if stranger:
        return Verdict(result=result, outcome="wrong_merchant", detail=stranger)
    if result.trade_state != PAID and result.trade_state not in FAILED:
        return Verdict(result=result, outcome="received", detail=f"trade_state {result.trade_state!a}")
    order = next(iter(orders.find(result, using)), None)
    stranger = _of_another_combined(result, order, merchant) if order else ""
    if stranger:
        return Verdict(result=result, outcome="wrong_merchant", order=order, detail=stranger)
    if result.trade_state in FAILED:
        return _judge_failed(result, order, using, notification.digest if notification else _digest(result))
    if order is None and result.mchid == merchant.mchid:
        order = next(iter(orders.resolve(result, using)), None)
    if order is None:
        return _discrepancy(result, merchant, using, "unknown_order", reason=Discrepancy.Reason.UNKNOWN_ORDER)
    return _judge_order(result, order, merchant, using, doubtful=doubtful)


def healed_by(result: PaymentResult, order: Order | None) -> QuerySet[Discrepancy]:
    """The open discrepancies that end when this payment is confirmed, under whichever alias they were seen.

    Not those of another merchant's order of the same number.
    """
    return Discrepancy.objects.filter(
        Q(order=order) | Q(order=None),
        out_trade_no=result.out_trade_no,
        transaction_id=result.transaction_id,
        reason__in=orders.HEALED_BY_CONFIRMATION,
        resolved_at=None,
    )


def already_paid(verdict: Verdict, alias: str, using: str) -> None:
    """Turn a settled verdict into `unexpected`: another order had already paid for the same reference."""
    verdict.outcome, verdict.signal = "unexpected", "payment_unexpected"
    verdict.reason = Discrepancy.Reason.ALREADY_PAID
    verdict.discrepancy = orders.recorded_discrepancy(verdict.payment, alias, verdict.reason, using)


def _stranger(result: PaymentResult, merchant: Merchant, notification: Notification | None) -> str:
    """Why this payment is not the merchant's, "" if it is."""
    mchid = result.mchid
    if result.combine_out_trade_no and notification is not None:
        # In a combined order each sub order has a merchant of its own; the initiator is ours.
        mchid = str(notification.resource.get("combine_mchid") or notification.resource.get("combine_mch_id"))
        # A provider's merchants are not listed: of none can be said that it is no tenant.
        tenant = conf.merchant_for is not None or conf.merchant_by_number(result.mchid) is not None
        if notification.version == "v2" and tenant and result.mchid != merchant.mchid:
            return f"sub order of {result.mchid}, a merchant of its own here, under the key of {merchant.mchid}"
    return orders.not_ours(merchant, mchid=mchid, appid=result.appid, sub_mchid=result.sub_mchid)


def _of_another_combined(result: PaymentResult, order: Order, merchant: Merchant) -> str:
    if result.mchid != merchant.mchid and order.combine_out_trade_no != result.combine_out_trade_no:
        # Whoever holds a v2 key can sign a "combined" notice that names another merchant's order.
        return f"the order of {result.mchid} was not recorded with combine_out_trade_no {result.combine_out_trade_no!r}"
    return ""


def _not_as_ordered(result: PaymentResult, order: Order) -> str:
    for name in ("appid", "sub_appid"):
        ordered, paid = getattr(order, name), getattr(result, name)
        if ordered and ordered != paid:
            return f"the order was created with {name} {ordered!r}, paid with {paid!r}"
    return ""


def _judge_order(  # noqa: PLR0911 (a list of guards, each with its outcome)
    result: PaymentResult, order: Any, merchant: Merchant, using: str, *, doubtful: bool
) -> Verdict:
    """Compare a payment that succeeded with the order it names."""
    stranger = _not_as_ordered(result, order)
    if stranger:
        return Verdict(result=result, outcome="wrong_merchant", order=order, detail=stranger)
    if order.status == Order.Status.PAID and order.transaction_id == result.transaction_id:
        return Verdict(
            result=result,
            outcome="duplicate",
            order=order,
            heals=order.has_open_discrepancy,
            pending=_pending(using, result, order=order) if order.is_being_told else [],
        )
    if (order.amount, order.currency) != (result.amount, result.currency):
        reason = Discrepancy.Reason.AMOUNT_MISMATCH
        verdict = _discrepancy(result, merchant, using, "amount_mismatch", reason=reason, order=order)
        verdict.detail = f"paid {result.amount} {result.currency}, ordered {order.amount} {order.currency}"
        return verdict
    if (doubtful or order.status != Order.Status.PENDING) and _belongs_elsewhere(result, order, using):
        return _discrepancy(result, merchant, using, "conflict", reason=Discrepancy.Reason.CONFLICT, order=order)
    if order.status == Order.Status.PAID:
        return _discrepancy(result, merchant, using, "unexpected", reason=Discrepancy.Reason.ALREADY_PAID, order=order)
    refunded = int(order.refunded)
    if order.status == Order.Status.CLOSED or refunded >= order.amount:
        gone = refunded >= order.amount
        reason = Discrepancy.Reason.ALREADY_REFUNDED if gone else Discrepancy.Reason.ORDER_CLOSED
        verdict = _discrepancy(result, merchant, using, "unexpected", reason=reason, order=order)
        verdict.settles, verdict.refunded = order, refunded
        return verdict
    return Verdict(
        result=result,
        outcome="confirmed",
        order=order,
        settles=order,
        refunded=refunded,
        signal="payment_confirmed",
        subject=f"order:{order.pk}",
        fresh=True,
        heals=order.has_open_discrepancy,
    )


def _judge_failed(result: PaymentResult, order: Any, using: str, digest: str) -> Verdict:
    if order is None or order.status != Order.Status.PENDING:
        verdict = Verdict(outcome="received")
    else:
        subject = f"order:{order.pk}:{result.transaction_id or digest}"
        verdict = told("payment_failed", "payment_failed", subject, using)
    verdict.result, verdict.order, verdict.detail = result, order, f"trade_state {result.trade_state!a}"
    return verdict


def _digest(result: PaymentResult) -> str:
    """Of a query's answer: what tells one failure without a transaction from the next."""
    return hashlib.sha256(json.dumps(result.raw, sort_keys=True, default=str).encode()).hexdigest()


def _discrepancy(
    result: PaymentResult, merchant: Merchant, using: str, outcome: str, *, reason: str, order: Order | None = None
) -> Verdict:
    recorded = orders.recorded_discrepancy(result, merchant.alias, reason, using)
    subject = f"discrepancy:{recorded.pk}" if recorded else ""
    pending = _pending(using, result, signal="payment_unexpected", subject=subject) if recorded else []
    if outcome == "unexpected" and recorded is not None and not pending:
        outcome = "duplicate"
    return Verdict(
        result=result,
        outcome=outcome,
        order=order,
        signal="payment_unexpected",
        subject=subject,
        fresh=recorded is None,
        reason=reason,
        discrepancy=recorded,
        pending=pending,
    )


def _pending(using: str, result: PaymentResult, **about: Any) -> list[SignalDelivery]:
    """Deliveries about this payment that are not done; a paid order's row may also have others, of other payments."""
    rows: Iterable[SignalDelivery] = (
        SignalDelivery.objects.using(using).filter(status=SignalDelivery.Status.PENDING, **about).order_by("pk")
    )
    return [
        row
        for row in rows
        if row.signal == "payment_confirmed"
        or (row.signal == "payment_unexpected" and row.payload["payment"]["transaction_id"] == result.transaction_id)
    ]


def _belongs_elsewhere(result: PaymentResult, order: Order, using: str) -> bool:
    rows = Order.objects.using(using).filter(transaction_id=result.transaction_id).exclude(pk=order.pk)
    return rows.exists()
