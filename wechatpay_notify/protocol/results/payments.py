"""Payments: what a proven notification or query answer says of one, whatever the API version.

Never judges: whose order it is and whether the amount fits is the app's to say.
"""

from wechatpay_notify.protocol.errors import Malformed
from wechatpay_notify.protocol.moments import beijing, rfc3339
from wechatpay_notify.protocol.types import Notification, PaymentResult
from wechatpay_notify.protocol.v3 import strict_json

from .fields import (
    IDENTITY,
    ORDER_NUMBER,
    STATE,
    Fields,
    currency,
    nested,
    optional,
    required,
    v2_amount,
    v2_whole,
    v3_amount,
    whole,
)

PAID = "SUCCESS"
FAILED = frozenset({"PAYERROR", "PAY_FAIL", "CLOSED", "REVOKED"})
"""trade_state of a payment that will not come; every other state but SUCCESS lies in between."""

MAX_SUB_ORDERS = 50


def payments(notification: Notification) -> tuple[PaymentResult, ...]:
    """The payments in a notification of that kind; none if its shape does not fit.

    Raises Malformed (proven) when a payment lacks what a payment must have.
    """
    fields = notification.resource
    if notification.version == "v2":
        return _v2_combined(fields) if "combine_out_trade_no" in fields else (payment_from_v2(fields),)
    if "sub_orders" in fields:
        results = _v3_combined(fields)
    elif "refund_status" in fields or "out_refund_no" in fields:
        return ()  # type and shape contradict each other
    elif "out_trade_no" in fields or "trade_state" in fields:
        results = (payment_from_v3(fields),)
    else:
        return ()  # profit sharing arrives as TRANSACTION.SUCCESS too: no order number, no state (protocol, 2.13)
    if notification.event_type == "TRANSACTION.FAIL" and any(result.trade_state == PAID for result in results):
        return ()  # type and shape contradict each other
    return results


def payment_from_v3(fields: Fields) -> PaymentResult:
    """A v3 payment resource or query answer: direct, partner, global or a deduction (protocol, 2.9, 2.10, 2.13, 2.14).

    A parking deduction calls any merchant sp_mchid and its app appid; what a direct merchant lacks may be "".
    """
    partner = bool(fields.get("sp_appid"))
    state = required(fields, "trade_state", STATE)
    overseas = "id" in fields and "transaction_id" not in fields
    amount = nested(fields, "amount")
    payer = nested(fields, "payer")
    return PaymentResult(
        mchid=required(fields, "sp_mchid" if fields.get("sp_mchid") else "mchid", IDENTITY),
        sub_mchid=required(fields, "sub_mchid", IDENTITY) if partner or fields.get("sub_mchid") else "",
        appid=required(fields, "sp_appid" if partner else "appid", IDENTITY),
        sub_appid=optional(fields, "sub_appid", 32),
        out_trade_no=required(fields, "out_trade_no", ORDER_NUMBER),
        transaction_id=_transaction_id(fields, "id" if overseas else "transaction_id", state),
        trade_type=optional(fields, "trade_type", 16),
        trade_state=state,
        amount=v3_amount(amount, "total", needed=state == PAID),
        currency=currency(amount, "currency", "" if overseas else "CNY"),
        payer_total=whole(amount.get("payer_total")),
        payer_currency=optional(amount, "payer_currency", 8) or "CNY",
        bank_type=optional(fields, "bank_type", 32),
        openid=optional(payer, "sp_openid", 128) or optional(payer, "openid", 128),
        sub_openid=optional(payer, "sub_openid", 128),
        attach=optional(fields, "attach", 128),
        success_time=rfc3339(optional(fields, "success_time", 64)),
        raw=fields,
    )


def payment_from_v2(fields: Fields) -> PaymentResult:
    """A v2 payment notice: direct or partner, any order currency (protocol, 1.3, 1.8)."""
    state = _v2_state(fields)
    required(fields, "trade_type", IDENTITY)  # refund and refund query answers under the same key have none
    if "refund_id" in fields or "out_refund_no" in fields:
        raise Malformed("a refund answer is no payment notice", proven=True)
    return PaymentResult(
        mchid=required(fields, "mch_id", IDENTITY),
        sub_mchid=required(fields, "sub_mch_id", IDENTITY) if "sub_mch_id" in fields else "",
        appid=required(fields, "appid", IDENTITY),
        sub_appid=optional(fields, "sub_appid", 32),
        out_trade_no=required(fields, "out_trade_no", ORDER_NUMBER),
        transaction_id=_transaction_id(fields, "transaction_id", state),
        trade_type=optional(fields, "trade_type", 16),
        trade_state=state,
        amount=v2_amount(fields, "total_fee", needed=state == PAID),
        currency=currency(fields, "fee_type", "CNY"),
        payer_total=v2_whole(fields.get("cash_fee")),
        payer_currency=optional(fields, "cash_fee_type", 8) or "CNY",
        bank_type=optional(fields, "bank_type", 32),
        openid=optional(fields, "openid", 128),
        sub_openid=optional(fields, "sub_openid", 128),
        attach=optional(fields, "attach", 128),
        success_time=beijing(optional(fields, "time_end", 64)),
        raw=fields,
    )


def _v3_combined(fields: Fields) -> tuple[PaymentResult, ...]:
    """Protocol 2.11: no state of its own, each sub order has one."""
    results = []
    required(fields, "combine_mchid", IDENTITY)
    payer = nested(fields, "combine_payer_info")
    for part in _parts(fields.get("sub_orders")):
        state = required(part, "trade_state", STATE)
        amount = nested(part, "amount")
        results.append(
            PaymentResult(
                mchid=required(part, "mchid", IDENTITY),
                sub_mchid=required(part, "sub_mchid", IDENTITY) if part.get("sub_mchid") else "",
                appid=required(fields, "combine_appid", IDENTITY),
                sub_appid=optional(part, "sub_appid", 32),
                out_trade_no=required(part, "out_trade_no", ORDER_NUMBER),
                combine_out_trade_no=required(fields, "combine_out_trade_no", ORDER_NUMBER),
                transaction_id=_transaction_id(part, "transaction_id", state),
                trade_type=optional(part, "trade_type", 16),
                trade_state=state,
                amount=v3_amount(amount, "total_amount", needed=state == PAID),
                currency=currency(amount, "currency", "CNY"),
                payer_total=whole(amount.get("payer_amount")),
                payer_currency=optional(amount, "payer_currency", 8) or "CNY",
                bank_type=optional(part, "bank_type", 32),
                openid=optional(payer, "openid", 128),
                sub_openid=optional(part, "sub_openid", 128),
                attach=optional(part, "attach", 128),
                success_time=rfc3339(optional(part, "success_time", 64)),
                raw=part,
            )
        )
    return _distinct(tuple(results))


def _v2_combined(fields: Fields) -> tuple[PaymentResult, ...]:
    """Protocol 1.7: the sub orders are JSON text inside one element."""
    listed = strict_json(fields.get("sub_order_list", "").encode(), "sub_order_list")
    required(fields, "combine_mch_id", IDENTITY)
    state = _v2_state(fields)
    results = tuple(
        PaymentResult(
            mchid=required(part, "mch_id", IDENTITY),
            appid=required(fields, "combine_appid", IDENTITY),
            out_trade_no=required(part, "out_trade_no", ORDER_NUMBER),
            combine_out_trade_no=required(fields, "combine_out_trade_no", ORDER_NUMBER),
            transaction_id=_transaction_id(part, "transaction_id", state),
            trade_type=optional(fields, "trade_type", 16),
            trade_state=state,
            amount=v3_amount(part, "total_fee", needed=state == PAID),
            currency=currency(fields, "fee_type", "CNY"),
            payer_total=whole(part.get("cash_fee")),
            openid=optional(part, "openid", 128),
            attach=optional(part, "attach", 128),
            success_time=beijing(optional(part, "time_end", 64)),
            raw=part,
        )
        for part in _parts(listed.get("order_list"))
    )
    return _distinct(results)


def _distinct(results: tuple[PaymentResult, ...]) -> tuple[PaymentResult, ...]:
    """Each order and each transaction once: two of one could never both be settled."""
    orders = {(result.mchid, result.sub_mchid, result.out_trade_no) for result in results}
    transactions = [result.transaction_id for result in results if result.transaction_id]
    if len(orders) < len(results) or len(set(transactions)) < len(transactions):
        raise Malformed("a combined order names an order or a transaction twice", proven=True)
    return results


def _parts(value: object) -> list[Fields]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_SUB_ORDERS:
        raise Malformed(f"a combined order without a list of 1 to {MAX_SUB_ORDERS} sub orders", proven=True)
    if not all(isinstance(part, dict) for part in value):
        raise Malformed("a sub order is no object", proven=True)
    return value


def _v2_state(fields: Fields) -> str:
    """v2 says it in three elements; a deduction can carry result_code SUCCESS with trade_state PAY_FAIL."""
    if fields.get("return_code") != "SUCCESS":
        raise Malformed("return_code is not SUCCESS", proven=True)
    if fields.get("result_code") == "FAIL":
        return "PAYERROR"
    if fields.get("result_code") != "SUCCESS":
        raise Malformed("result_code is neither SUCCESS nor FAIL", proven=True)
    state: str = fields.get("trade_state", PAID)
    return state


def _transaction_id(fields: Fields, name: str, state: str) -> str:
    # A payment that failed may never have got a number.
    return required(fields, name, IDENTITY) if state == PAID or fields.get(name) else ""
