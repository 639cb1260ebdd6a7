"""Contents: what WeChat says of a payment or a refund, as it is before it is encrypted and signed.

Never holds a key.
"""

import hashlib
import uuid
from datetime import datetime
from typing import Any

from wechatpay_notify.protocol.moments import BEIJING

OPENID = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"


def whose_v3(mchid: str, sub_mchid: str = "") -> dict[str, str]:
    """The merchant's own, or a sub-merchant's whose service provider the merchant is."""
    return {"sp_mchid": mchid, "sub_mchid": sub_mchid} if sub_mchid else {"mchid": mchid}


def payment_v3(out_trade_no: str, amount: int, transaction_id: str) -> dict[str, Any]:
    return {
        "out_trade_no": out_trade_no,
        "transaction_id": transaction_id,
        "trade_type": "JSAPI",
        "trade_state": "SUCCESS",
        "trade_state_desc": "支付成功",
        "bank_type": "OTHERS",
        "attach": "",
        "success_time": _now(),
        "amount": {"total": amount, "payer_total": amount, "currency": "CNY", "payer_currency": "CNY"},
    }


def sub_order(out_trade_no: str, amount: int, transaction_id: str) -> dict[str, Any]:
    """A payment as one of a combined order, where its amounts have other names."""
    amounts = {"total_amount": amount, "payer_amount": amount, "currency": "CNY", "payer_currency": "CNY"}
    return payment_v3(out_trade_no, amount, transaction_id) | {"amount": amounts}


def payment_v2(out_trade_no: str, amount: int, transaction_id: str) -> dict[str, str]:
    return {
        "return_code": "SUCCESS",
        "result_code": "SUCCESS",
        "nonce_str": uuid.uuid4().hex,
        "openid": OPENID,
        "is_subscribe": "N",
        "trade_type": "JSAPI",
        "bank_type": "OTHERS",
        "total_fee": str(amount),
        "fee_type": "CNY",
        "cash_fee": str(amount),
        "transaction_id": transaction_id,
        "out_trade_no": out_trade_no,
        "time_end": datetime.now(BEIJING).strftime("%Y%m%d%H%M%S"),
    }


def refund_numbers(out_trade_no: str, transaction_id: str, out_refund_no: str) -> dict[str, str]:
    """The numbers in a refund; WeChat's own is the same for the same merchant refund number."""
    digest = hashlib.sha256(out_refund_no.encode()).digest()
    return {
        "out_trade_no": out_trade_no,
        "transaction_id": transaction_id,
        "out_refund_no": out_refund_no,
        "refund_id": f"503{int.from_bytes(digest[:11]):026d}",
    }


def refund_v3(amount: int, total: int, status: str) -> dict[str, Any]:
    return {
        "refund_status": status,
        "user_received_account": "支付用户零钱",
        "amount": {"total": total, "refund": amount, "payer_total": total, "payer_refund": amount},
    } | ({"success_time": _now()} if status == "SUCCESS" else {})


def refund_v2(amount: int, total: int, status: str) -> dict[str, str]:
    """What is inside of `req_info`."""
    moment = datetime.now(BEIJING).strftime("%Y-%m-%d %H:%M:%S")
    return {
        "total_fee": str(total),
        "refund_fee": str(amount),
        "settlement_refund_fee": str(amount),
        "refund_status": status,
        "success_time": moment if status == "SUCCESS" else "",
        "refund_recv_accout": "支付用户零钱",
        "refund_account": "REFUND_SOURCE_RECHARGE_FUNDS",
        "refund_request_source": "API",
    }


def _now() -> str:
    return datetime.now(BEIJING).isoformat(timespec="seconds")
