"""Judgement: what one payment means for the shop's own record. Reads, compares in Python, decides.

Never writes a fact and never locks; what it saw is checked again by the compare-and-set that acts on it.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL

from .conf import conf
from .models import Discrepancy, Order, OrderMismatch, SignalDelivery
from .protocol.results import FAILED, PAID, storable
from .protocol.types import ExpectedOrder, Merchant, Notification, PaymentResult

HEALED_BY_CONFIRMATION = (
    Discrepancy.Reason.UNKNOWN_ORDER,
    Discrepancy.Reason.AMOUNT_MISMATCH,
    Discrepancy.Reason.CONFLICT,
)
"""Discrepancies that end when that very payment is confirmed after all."""

_OPEN_DISCREPANCY = (
    f"EXISTS (SELECT 1 FROM {Discrepancy._meta.db_table} WHERE out_trade_no = %s AND transaction_id = %s "  # noqa: S608
    f"AND reason IN ({', '.join('%s' for _ in HEALED_BY_CONFIRMATION)}) AND resolved_at IS NULL)"
)
_PENDING_DELIVERY = (
    f"EXISTS (SELECT 1 FROM {SignalDelivery._meta.db_table} told WHERE told.order_id = {Order._meta.db_table}.id "  # noqa: S608
    "AND told.status = 'pending')"
)
"""Then a receiver may be running that holds the order's row."""


class HostError(Exception):
    """A callable of the host project (resolver, merchant provider) raised or answered nonsense."""


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What is to be done about one payment, or (without a result) about a notification that confirms nothing."""

    outcome: str
    result: PaymentResult | None = None
    order: Order | None = None
    settles: Order | None = None
    """The order to move to paid."""
    signal: str = ""
    """Ledger signal to send, "" for none."""
    subject: str = ""
    """What the signal is about; one delivery a receiver for each. A new discrepancy gets its subject when recorded."""
    fresh: bool = False
    """Whether the fact is new, so that deliveries are to be made."""
    reason: str = ""
    """Discrepancy to record, "" for none."""
    discrepancy: Discrepancy | None = None
    heals: bool = False
    """Whether confirming resolves discrepancies recorded earlier for this payment."""
    detail: str = ""
    pending: list[SignalDelivery] = field(default_factory=list)
    """Deliveries recorded earlier for this payment and not done."""

    @property
    def payment(self) -> PaymentResult:
        """The result; every verdict that settles, records a discrepancy or heals one has it."""
        if self.result is None:
            raise TypeError("this verdict is about no payment")
        return self.result


def judge(
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
    order = _find(result, using)
    if result.trade_state in FAILED:
        return _judge_failed(result, order, using, notification.digest if notification else _digest(result))
    if order is None and result.mchid == merchant.mchid:
        order = _resolve(result, using)
    if order is None:
        return _discrepancy(result, merchant, using, "unknown_order", reason=Discrepancy.Reason.UNKNOWN_ORDER)
    return _judge_order(result, order, merchant, using, doubtful=doubtful)


def judge_event(notification: Notification, alias: str, using: str) -> Verdict:
    """A notification that confirms nothing: it is told to notification_received once."""
    # An id that no database column would take is replaced by the digest; v2 has no id.
    known_by = notification.notification_id
    if not known_by or len(known_by) > 64 or not known_by.isascii() or not known_by.isprintable():
        known_by = notification.digest
    return _told("received", "notification_received", f"{alias}:{known_by}", using)


def healed_by(result: PaymentResult) -> QuerySet[Discrepancy]:
    """The open discrepancies that end when this payment is confirmed, under whichever alias they were seen."""
    return Discrepancy.objects.filter(
        out_trade_no=result.out_trade_no,
        transaction_id=result.transaction_id,
        reason__in=HEALED_BY_CONFIRMATION,
        resolved_at=None,
    )


def already_paid(verdict: Verdict, alias: str, using: str) -> None:
    """Turn a settled verdict into `unexpected`: another order had already paid for the same reference."""
    verdict.outcome, verdict.signal = "unexpected", "payment_unexpected"
    verdict.reason = Discrepancy.Reason.ALREADY_PAID
    verdict.discrepancy = _recorded(verdict.payment, alias, verdict.reason, using)


def _stranger(result: PaymentResult, merchant: Merchant, notification: Notification | None) -> str:
    """Why this payment is not the merchant's, "" if it is."""
    mchid = result.mchid
    if result.combine_out_trade_no and notification is not None:
        # In a combined order each sub order has a merchant of its own; the initiator is ours.
        mchid = str(notification.resource.get("combine_mchid") or notification.resource.get("combine_mch_id"))
        tenant = conf.merchant_by_number(result.mchid)
        if notification.version == "v2" and tenant is not None and tenant.mchid != merchant.mchid:
            return f"sub order of {result.mchid}, a merchant of its own here, under the key of {merchant.mchid}"
    if mchid != merchant.mchid:
        return f"mchid is {mchid[:32]!r}, configured is {merchant.mchid!r}"
    if merchant.appids is not None and result.appid not in merchant.appids:
        return f"appid {result.appid!r} is not in APPIDS"
    if merchant.sub_mchids is not None and result.sub_mchid not in merchant.sub_mchids:
        return f"sub_mchid {result.sub_mchid!r} is not in SUB_MCHIDS"
    return ""


def _not_as_ordered(result: PaymentResult, order: Order, merchant: Merchant) -> str:
    if result.mchid != merchant.mchid and order.combine_out_trade_no != result.combine_out_trade_no:
        # Whoever holds a v2 key can sign a "combined" notice that names another merchant's order.
        return f"the order of {result.mchid} was not recorded with combine_out_trade_no {result.combine_out_trade_no!r}"
    for name in ("appid", "sub_appid"):
        ordered, paid = getattr(order, name), getattr(result, name)
        if ordered and ordered != paid:
            return f"the order was created with {name} {ordered!r}, paid with {paid!r}"
    return ""


def _find(result: PaymentResult, using: str) -> Any:
    """The order a payment names, compared exactly in Python whatever the column's collation."""
    numbers = {"mchid": result.mchid, "sub_mchid": result.sub_mchid, "out_trade_no": result.out_trade_no}
    # As SQL: building annotate(Exists(healed_by(result))) took Django longer than all the rest of the query (measured).
    params = (result.out_trade_no, result.transaction_id, *HEALED_BY_CONFIRMATION)
    asked = {
        "has_open_discrepancy": RawSQL(_OPEN_DISCREPANCY, params, BooleanField()),  # noqa: S611 (constant SQL)
        "is_being_told": RawSQL(_PENDING_DELIVERY, (), BooleanField()),  # noqa: S611
    }
    found = Order.objects.using(using).filter(**numbers).annotate(**asked)
    return next((order for order in found if all(getattr(order, k) == v for k, v in numbers.items())), None)


def _judge_order(  # noqa: PLR0911 (a list of guards, each with its outcome)
    result: PaymentResult, order: Any, merchant: Merchant, using: str, *, doubtful: bool
) -> Verdict:
    """Compare a payment that succeeded with the order it names."""
    stranger = _not_as_ordered(result, order, merchant)
    if stranger:
        return Verdict(result=result, outcome="wrong_merchant", order=order, detail=stranger)
    if order.status == Order.Status.PAID and order.transaction_id == result.transaction_id:
        return Verdict(
            result=result,
            outcome="duplicate",
            order=order,
            heals=order.has_open_discrepancy,
            pending=_pending(using, result, order=order),
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
    if order.status == Order.Status.CLOSED:
        reason = Discrepancy.Reason.ORDER_CLOSED
        verdict = _discrepancy(result, merchant, using, "unexpected", reason=reason, order=order)
        verdict.settles = order
        return verdict
    return Verdict(
        result=result,
        outcome="confirmed",
        order=order,
        settles=order,
        signal="payment_confirmed",
        subject=f"order:{order.pk}",
        fresh=True,
        heals=order.has_open_discrepancy,
    )


def _resolve(result: PaymentResult, using: str) -> Any:
    """Ask the shop's ORDER_RESOLVER; record and commit what it expects before anything is judged."""
    try:
        resolver = conf.order_resolver
        expected = resolver(result) if resolver else None
        if expected is None:
            return None
        if not isinstance(expected, ExpectedOrder):
            raise TypeError(f"ORDER_RESOLVER must return an ExpectedOrder or None, not {type(expected).__name__}")
        if expected.sub_mchid not in ("", result.sub_mchid):
            return None
        order = Order.objects.expect(
            mchid=result.mchid,
            sub_mchid=result.sub_mchid,
            out_trade_no=result.out_trade_no,
            combine_out_trade_no=result.combine_out_trade_no,
            amount=expected.amount,
            currency=expected.currency,
            appid=expected.appid,
            reference=expected.reference,
            description=storable(expected.description)[:255],
        )
    except OrderMismatch:
        pass  # recorded meanwhile with another amount: that record is judged
    except Exception as error:
        raise HostError("ORDER_RESOLVER raised") from error
    else:
        if expected.closed:
            Order.objects.close(order)
    return _find(result, using)


def _judge_failed(result: PaymentResult, order: Any, using: str, digest: str) -> Verdict:
    if order is None or order.status != Order.Status.PENDING:
        verdict = Verdict(outcome="received")
    else:
        subject = f"order:{order.pk}:{result.transaction_id or digest}"
        verdict = _told("payment_failed", "payment_failed", subject, using)
    verdict.result, verdict.order, verdict.detail = result, order, f"trade_state {result.trade_state!a}"
    return verdict


def _digest(result: PaymentResult) -> str:
    """Of a query's answer: what tells one failure without a transaction from the next."""
    return hashlib.sha256(json.dumps(result.raw, sort_keys=True, default=str).encode()).hexdigest()


def _told(outcome: str, signal: str, subject: str, using: str) -> Verdict:
    """A verdict whose fact is the delivery itself: `duplicate` once every receiver has run."""
    rows = list(SignalDelivery.objects.using(using).filter(signal=signal, subject=subject).order_by("pk"))
    pending = [row for row in rows if row.status == SignalDelivery.Status.PENDING]
    return Verdict(
        outcome="duplicate" if rows and not pending else outcome,
        signal=signal,
        subject=subject,
        fresh=not rows,
        pending=pending,
    )


def _discrepancy(
    result: PaymentResult, merchant: Merchant, using: str, outcome: str, *, reason: str, order: Order | None = None
) -> Verdict:
    recorded = _recorded(result, merchant.alias, reason, using)
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


def _recorded(result: PaymentResult, alias: str, reason: str, using: str) -> Discrepancy | None:
    rows = Discrepancy.objects.using(using).filter(
        merchant=alias, out_trade_no=result.out_trade_no, transaction_id=result.transaction_id, reason=reason
    )
    return rows.first()


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
