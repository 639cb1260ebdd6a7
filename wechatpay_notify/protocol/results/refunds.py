"""Refunds: what a notification or query answer says of one, whatever the API version.

Never judges: whose order it is and whether the amount fits is the app's to say.
"""

import re

from wechatpay_notify.protocol.errors import Malformed, SignatureInvalid
from wechatpay_notify.protocol.moments import beijing, rfc3339
from wechatpay_notify.protocol.types import Notification, RefundResult

from .fields import IDENTITY, ORDER_NUMBER, STATE, Fields, currency, nested, optional, required, v2_amount, v3_amount

REFUND_STATES = frozenset({"PROCESSING", "SUCCESS", "ABNORMAL", "CLOSED"})
_ANNOUNCED = {"REFUND.SUCCESS": "SUCCESS", "REFUND.ABNORMAL": "ABNORMAL", "REFUND.CLOSED": "CLOSED"}
_V2_STATES = {"SUCCESS": "SUCCESS", "CHANGE": "ABNORMAL", "REFUNDCLOSE": "CLOSED"}
"""v2 has other words for the same (protocol, 1.4)."""
REFUND_NUMBER = re.compile(r"[0-9A-Za-z_\-|*@]{1,64}", re.ASCII)
"""out_refund_no (protocol, 2.12)."""


def refunds(notification: Notification) -> tuple[RefundResult, ...]:
    """The refund in a notification of that kind; none if its type and shape contradict each other.

    Raises Malformed (proven) when a refund lacks what a refund must have; of a v2 notice, which is encrypted and not
    signed, SignatureInvalid: every failure behind its decryption looks the same.
    """
    fields = notification.resource
    if notification.version == "v2":
        return (refund_from_v2(fields),)
    if not {"refund_status", "out_refund_no"} & fields.keys() or "trade_state" in fields:
        return ()
    result = refund_from_v3(fields)
    return (result,) if result.refund_status == _ANNOUNCED[notification.event_type] else ()


def refund_from_v3(fields: Fields) -> RefundResult:
    """A v3 refund resource or query answer: direct, partner, e-commerce or global (protocol, 2.12, 2.14).

    A query's answer names no merchant: add `mchid`, or `sp_mchid` and `sub_mchid`, before. Raises Malformed.
    """
    partner = "sp_mchid" in fields
    amount = nested(fields, "amount")
    # The query API calls it `status` (protocol, 2.12).
    queried = "refund_status" not in fields
    state = required(fields, "status" if queried else "refund_status", STATE)
    if queried and state not in REFUND_STATES:
        raise Malformed(f"status {state} is none that a refund has", proven=True)
    return RefundResult(
        mchid=required(fields, "sp_mchid" if partner else "mchid", IDENTITY),
        sub_mchid=required(fields, "sub_mchid", IDENTITY) if partner or fields.get("sub_mchid") else "",
        out_trade_no=required(fields, "out_trade_no", ORDER_NUMBER),
        transaction_id=required(fields, "transaction_id", IDENTITY),
        out_refund_no=required(fields, "out_refund_no", REFUND_NUMBER),
        refund_id=required(fields, "refund_id", IDENTITY),
        refund_status=state,
        amount=v3_amount(amount, "refund"),
        total=v3_amount(amount, "total"),
        currency=currency(amount, "currency", ""),
        success_time=rfc3339(optional(fields, "success_time", 64)),
        raw=fields,
    )


def refund_from_v2(fields: Fields) -> RefundResult:
    """A v2 refund notice: the decrypted `<root>`, and whose it is from around it (protocol, 1.4)."""
    try:
        return RefundResult(
            mchid=required(fields, "mch_id", IDENTITY),
            sub_mchid=required(fields, "sub_mch_id", IDENTITY) if fields.get("sub_mch_id") else "",
            appid=required(fields, "appid", IDENTITY),
            out_trade_no=required(fields, "out_trade_no", ORDER_NUMBER),
            transaction_id=required(fields, "transaction_id", IDENTITY),
            out_refund_no=required(fields, "out_refund_no", REFUND_NUMBER),
            refund_id=required(fields, "refund_id", IDENTITY),
            refund_status=_V2_STATES[required(fields, "refund_status", STATE)],
            amount=v2_amount(fields, "refund_fee"),
            total=v2_amount(fields, "total_fee"),
            success_time=beijing(optional(fields, "success_time", 64)),
            is_hint=True,
            raw=fields,
        )
    except KeyError as error:
        raise SignatureInvalid("req_info holds no known refund_status") from error
    except Malformed as error:
        raise SignatureInvalid(f"req_info holds no refund: {error.detail}") from error
