"""Orders: the shop's own record of what a payment or refund names, found and compared exactly.

Never writes a fact; a resolver's order is recorded and committed before anything is judged.
"""

from typing import Any

from django.db.models import BigIntegerField, BooleanField, Q, QuerySet
from django.db.models.expressions import RawSQL

from wechatpay_notify.conf import conf
from wechatpay_notify.models import Discrepancy, Order, OrderMismatch, Refund, SignalDelivery
from wechatpay_notify.protocol.results import storable
from wechatpay_notify.protocol.types import ExpectedOrder, Merchant, PaymentResult, Result

from .verdict import HostError

HEALED_BY_CONFIRMATION = (
    Discrepancy.Reason.UNKNOWN_ORDER,
    Discrepancy.Reason.AMOUNT_MISMATCH,
    Discrepancy.Reason.CONFLICT,
)
"""Discrepancies that end when that very payment is confirmed after all."""

# As SQL: building annotate(Exists(…)) took Django longer than all the rest of the query (measured).
_ORDER = Order._meta.db_table
_OPEN_DISCREPANCY = (
    f"EXISTS (SELECT 1 FROM {Discrepancy._meta.db_table} WHERE out_trade_no = %s AND transaction_id = %s "  # noqa: S608
    f"AND reason IN ({', '.join('%s' for _ in HEALED_BY_CONFIRMATION)}) AND resolved_at IS NULL)"
)
_PENDING_DELIVERY = (
    f"EXISTS (SELECT 1 FROM {SignalDelivery._meta.db_table} told WHERE told.order_id = {_ORDER}.id "  # noqa: S608
    "AND told.status = 'pending')"
)
_REFUNDED = (
    f"COALESCE((SELECT SUM(part.amount) FROM {Refund._meta.db_table} part "  # noqa: S608
    f"WHERE part.order_id = {_ORDER}.id AND part.transaction_id = %s AND part.status <> 'CLOSED'), 0)"
)


def not_ours(merchant: Merchant, *, mchid: str | None, appid: str | None, sub_mchid: str | None) -> str:
    """Why these are not the merchant's, "" if they are. What is None was not named, and is not compared."""
    if mchid not in (None, merchant.mchid):
        return f"mchid is {mchid[:32]!r}, configured is {merchant.mchid!r}"
    if merchant.appids is not None and appid is not None and appid not in merchant.appids:
        return f"appid {appid[:32]!r} is not in APPIDS"
    if merchant.sub_mchids is not None and sub_mchid is not None and sub_mchid not in merchant.sub_mchids:
        return f"sub_mchid {sub_mchid[:32]!r} is not in SUB_MCHIDS"
    return ""


def find(result: Result, using: str) -> list[Any]:
    """The orders a payment names by its number, a refund by its transaction or its number; the number's first.

    Compared exactly in Python, whatever the column's collation. Each has `has_open_discrepancy`, `is_being_told` (then
    a receiver may be running that holds the row) and `refunded`: what is refunded of this transaction.
    """
    numbers = {"mchid": result.mchid, "sub_mchid": result.sub_mchid, "out_trade_no": result.out_trade_no}
    params = (result.out_trade_no, result.transaction_id, *HEALED_BY_CONFIRMATION)
    asked = {
        "has_open_discrepancy": RawSQL(_OPEN_DISCREPANCY, params, BooleanField()),  # noqa: S611 (constant SQL)
        "is_being_told": RawSQL(_PENDING_DELIVERY, (), BooleanField()),  # noqa: S611
        "refunded": RawSQL(_REFUNDED, (result.transaction_id,), BigIntegerField()),  # noqa: S611
    }
    condition = Q(**numbers)
    if not isinstance(result, PaymentResult):
        condition |= Q(transaction_id=result.transaction_id)
    found = Order.objects.using(using).filter(condition).annotate(**asked)
    named, others = [], []
    for order in found:
        if all(getattr(order, name) == value for name, value in numbers.items()):
            named.append(order)
        elif order.transaction_id == result.transaction_id:
            others.append(order)
    return named + others


def recorded_discrepancy(result: Result, alias: str, reason: str, using: str) -> Discrepancy | None:
    """What was recorded when this came before."""
    return recorded_discrepancies(result, using).filter(merchant=alias, reason=reason).first()


def recorded_discrepancies(result: Result, using: str) -> QuerySet[Discrepancy]:
    rows = Discrepancy.objects.using(using)
    return rows.filter(out_trade_no=result.out_trade_no, transaction_id=result.transaction_id)


def resolve(result: Result, using: str) -> list[Any]:
    """Ask the shop's ORDER_RESOLVER and record what it expects; the orders found then. Raises HostError."""
    try:
        resolver = conf.order_resolver
        expected = resolver(result) if resolver else None
        if expected is None:
            return []
        if not isinstance(expected, ExpectedOrder):
            raise TypeError(f"ORDER_RESOLVER must return an ExpectedOrder or None, not {type(expected).__name__}")
        if expected.sub_mchid not in ("", result.sub_mchid):
            return []
        order = Order.objects.expect(
            mchid=result.mchid,
            sub_mchid=result.sub_mchid,
            out_trade_no=result.out_trade_no,
            combine_out_trade_no=result.combine_out_trade_no if isinstance(result, PaymentResult) else "",
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
    return find(result, using)
