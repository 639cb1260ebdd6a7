"""What a proven notification means for money: payments, read into one form whatever the API version.

Never judges: whose order it is and whether the amount fits is the app's to say.
"""

import re
from collections.abc import Mapping
from typing import Any

from .errors import Malformed
from .moments import beijing, rfc3339
from .types import Notification, PaymentResult
from .v3 import strict_json

PAID = "SUCCESS"
FAILED = frozenset({"PAYERROR", "PAY_FAIL", "CLOSED", "REVOKED"})
"""trade_state of a payment that will not come; every other state but SUCCESS lies in between."""

ORDER_NUMBER = re.compile(r"[0-9A-Za-z_\-|*@]{1,32}", re.ASCII)
"""out_trade_no: 6 to 32 of these (protocol, 1.3); shorter ones exist and do no harm."""
_IDENTITY = re.compile(r"[0-9A-Za-z_\-]{1,32}", re.ASCII)
_STATE = re.compile(r"[A-Z_]{1,32}")
_WHOLE_TEXT = re.compile(r"[0-9]{1,18}")
_AMOUNT_TEXT = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
_AMOUNTS = range(1, 10**18)
_CURRENCY = re.compile(r"[A-Z]{3,8}", re.ASCII)
MAX_SUB_ORDERS = 50

Fields = Mapping[str, Any]


def read(notification: Notification) -> tuple[PaymentResult, ...]:
    """The payments in a notification; none for an event that is not about a payment, or whose shape does not fit.

    Raises Malformed (proven) when a payment lacks what a payment must have.
    """
    if notification.kind != "payment":
        return ()
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
    """A v3 payment resource or query answer: direct, partner or global (protocol, 2.9, 2.10, 2.14)."""
    partner = "sp_mchid" in fields
    state = _required(fields, "trade_state", _STATE)
    overseas = "id" in fields and "transaction_id" not in fields
    amount = _object(fields, "amount")
    payer = _object(fields, "payer")
    return PaymentResult(
        mchid=_required(fields, "sp_mchid" if partner else "mchid", _IDENTITY),
        sub_mchid=_required(fields, "sub_mchid", _IDENTITY) if partner else "",
        appid=_required(fields, "sp_appid" if partner else "appid", _IDENTITY),
        sub_appid=_optional(fields, "sub_appid", 32),
        out_trade_no=_required(fields, "out_trade_no", ORDER_NUMBER),
        transaction_id=_transaction_id(fields, "id" if overseas else "transaction_id", state),
        trade_type=_optional(fields, "trade_type", 16),
        trade_state=state,
        amount=_v3_amount(amount, "total", state),
        currency=_currency(amount, "currency", "" if overseas else "CNY"),
        payer_total=_whole(amount.get("payer_total")),
        payer_currency=_optional(amount, "payer_currency", 8) or "CNY",
        bank_type=_optional(fields, "bank_type", 32),
        openid=_optional(payer, "sp_openid" if partner else "openid", 128) or _optional(payer, "openid", 128),
        sub_openid=_optional(payer, "sub_openid", 128),
        attach=_optional(fields, "attach", 128),
        success_time=rfc3339(_optional(fields, "success_time", 64)),
        raw=fields,
    )


def payment_from_v2(fields: Fields) -> PaymentResult:
    """A v2 payment notice: direct or partner, any order currency (protocol, 1.3, 1.8)."""
    state = _v2_state(fields)
    _required(fields, "trade_type", _IDENTITY)  # refund and refund query answers under the same key have none
    if "refund_id" in fields or "out_refund_no" in fields:
        raise Malformed("a refund answer is no payment notice", proven=True)
    return PaymentResult(
        mchid=_required(fields, "mch_id", _IDENTITY),
        sub_mchid=_required(fields, "sub_mch_id", _IDENTITY) if "sub_mch_id" in fields else "",
        appid=_required(fields, "appid", _IDENTITY),
        sub_appid=_optional(fields, "sub_appid", 32),
        out_trade_no=_required(fields, "out_trade_no", ORDER_NUMBER),
        transaction_id=_transaction_id(fields, "transaction_id", state),
        trade_type=_optional(fields, "trade_type", 16),
        trade_state=state,
        amount=_v2_amount(fields, "total_fee", state),
        currency=_currency(fields, "fee_type", "CNY"),
        payer_total=_v2_whole(fields.get("cash_fee")),
        payer_currency=_optional(fields, "cash_fee_type", 8) or "CNY",
        bank_type=_optional(fields, "bank_type", 32),
        openid=_optional(fields, "openid", 128),
        sub_openid=_optional(fields, "sub_openid", 128),
        attach=_optional(fields, "attach", 128),
        success_time=beijing(_optional(fields, "time_end", 64)),
        raw=fields,
    )


def _v3_combined(fields: Fields) -> tuple[PaymentResult, ...]:
    """Protocol 2.11: no state of its own, each sub order has one."""
    results = []
    _required(fields, "combine_mchid", _IDENTITY)
    payer = _object(fields, "combine_payer_info")
    for part in _parts(fields.get("sub_orders")):
        state = _required(part, "trade_state", _STATE)
        amount = _object(part, "amount")
        results.append(
            PaymentResult(
                mchid=_required(part, "mchid", _IDENTITY),
                sub_mchid=_required(part, "sub_mchid", _IDENTITY) if part.get("sub_mchid") else "",
                appid=_required(fields, "combine_appid", _IDENTITY),
                sub_appid=_optional(part, "sub_appid", 32),
                out_trade_no=_required(part, "out_trade_no", ORDER_NUMBER),
                combine_out_trade_no=_required(fields, "combine_out_trade_no", ORDER_NUMBER),
                transaction_id=_transaction_id(part, "transaction_id", state),
                trade_type=_optional(part, "trade_type", 16),
                trade_state=state,
                amount=_v3_amount(amount, "total_amount", state),
                currency=_currency(amount, "currency", "CNY"),
                payer_total=_whole(amount.get("payer_amount")),
                payer_currency=_optional(amount, "payer_currency", 8) or "CNY",
                bank_type=_optional(part, "bank_type", 32),
                openid=_optional(payer, "openid", 128),
                sub_openid=_optional(part, "sub_openid", 128),
                attach=_optional(part, "attach", 128),
                success_time=rfc3339(_optional(part, "success_time", 64)),
                raw=part,
            )
        )
    return _distinct(tuple(results))


def _v2_combined(fields: Fields) -> tuple[PaymentResult, ...]:
    """Protocol 1.7: the sub orders are JSON text inside one element."""
    listed = strict_json(fields.get("sub_order_list", "").encode(), "sub_order_list")
    _required(fields, "combine_mch_id", _IDENTITY)
    state = _v2_state(fields)
    results = tuple(
        PaymentResult(
            mchid=_required(part, "mch_id", _IDENTITY),
            appid=_required(fields, "combine_appid", _IDENTITY),
            out_trade_no=_required(part, "out_trade_no", ORDER_NUMBER),
            combine_out_trade_no=_required(fields, "combine_out_trade_no", ORDER_NUMBER),
            transaction_id=_transaction_id(part, "transaction_id", state),
            trade_type=_optional(fields, "trade_type", 16),
            trade_state=state,
            amount=_v3_amount(part, "total_fee", state),
            currency=_currency(fields, "fee_type", "CNY"),
            payer_total=_whole(part.get("cash_fee")),
            openid=_optional(part, "openid", 128),
            attach=_optional(part, "attach", 128),
            success_time=beijing(_optional(part, "time_end", 64)),
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


def _required(fields: Fields, name: str, form: re.Pattern[str]) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not form.fullmatch(value):
        raise Malformed(f"{name} is missing or not of its form", proven=True)
    return value


def _transaction_id(fields: Fields, name: str, state: str) -> str:
    # A payment that failed may never have got a number.
    return _required(fields, name, _IDENTITY) if state == PAID or fields.get(name) else ""


def _v3_amount(fields: Fields, name: str, state: str) -> int:
    value = fields.get(name)
    if value is None and state != PAID:
        return 0
    if type(value) is not int or value not in _AMOUNTS:  # type(): True == 1
        raise Malformed(f"{name} is missing or no whole number of the minor unit", proven=True)
    return value


def _v2_amount(fields: Fields, name: str, state: str) -> int:
    value = fields.get(name)
    if value is None and state != PAID:
        return 0
    if not isinstance(value, str) or not _AMOUNT_TEXT.fullmatch(value):  # int("１００") is 100, int("1_00") too
        raise Malformed(f"{name} is missing or no whole number of the minor unit", proven=True)
    return int(value)


def _currency(fields: Fields, name: str, default: str) -> str:
    value = fields.get(name)
    if value is None or value == "":
        return default
    if not isinstance(value, str) or not _CURRENCY.fullmatch(value):
        raise Malformed(f"{name} is no currency code", proven=True)
    return value


def _whole(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < _AMOUNTS.stop else None


def _v2_whole(value: object) -> int | None:
    return int(value) if isinstance(value, str) and _WHOLE_TEXT.fullmatch(value) else None


def _object(fields: Fields, name: str) -> Fields:
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def _optional(fields: Fields, name: str, limit: int) -> str:
    """Text that decides nothing: cleaned of what a database refuses and cut, never a reason to lose a payment."""
    value = fields.get(name)
    return storable(value)[:limit] if value and isinstance(value, str) else ""


def storable(text: str) -> str:
    """Without NUL and lone surrogates, which databases refuse."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "").encode(errors="ignore").decode()
