"""Notices: the payment or refund that wechatpay_simulate sends, made anew for each copy.

Never sends one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from django.core.management.base import CommandError

from wechatpay_notify.models import Order
from wechatpay_notify.protocol.results import PAID
from wechatpay_notify.testing import Platform, Signed, transaction_number

REFUND_STATES = {"SUCCESS": "SUCCESS", "ABNORMAL": "CHANGE", "CLOSED": "REFUNDCLOSE"}
"""State of a refund → v2's word for it."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What is sent of one order."""

    about: str
    """In a line, for the terminal."""
    make: Callable[[], Signed]
    """Makes it anew: WeChat signs every attempt with the time it is sent."""


def payment(platform: Platform, order: Order | None, amount: int, options: Mapping[str, Any]) -> Notice:
    number, sub_mchid = options["out_trade_no"], order.sub_mchid if order else ""
    # The transaction that paid the order: so the same command again is WeChat's retry.
    recorded = order.transaction_id if order and not options["again"] else None
    transaction = options["transaction_id"] or recorded or transaction_number()
    fields: dict[str, Any] = {"attach": options["attach"]} if options["attach"] else {}
    failed = options["state"] != PAID
    if options["api"] == "v2":
        fields |= {"sign_type": options["sign_type"]} | ({"sub_mch_id": sub_mchid} if sub_mchid else {})
        fields |= {"result_code": "FAIL", "err_code": options["state"]} if failed else {}
        pay: Callable[..., Signed] = platform.payment_v2
    else:
        fields |= {"notification_id": str(uuid4()), "sub_mchid": sub_mchid, "trade_state": options["state"]}
        fields |= {"event_type": "TRANSACTION.FAIL"} if failed else {}
        pay = platform.payment_v3
    about = f"{number}: {amount} fen, transaction {transaction}"
    return Notice(about, lambda: pay(number, amount, transaction_id=transaction, **fields))


def refund(platform: Platform, order: Order | None, total: int, options: Mapping[str, Any]) -> Notice:
    """A refund of the payment that the order is recorded with. Raises CommandError if there is none."""
    number, sub_mchid, amount = options["out_trade_no"], order.sub_mchid if order else "", options["refund"]
    transaction = options["transaction_id"] or (order and order.transaction_id)
    if not transaction:
        raise CommandError(
            f"order {number} is not recorded as paid in this database: give the --transaction-id of the payment that "
            "is refunded"
        )
    # The same command again is WeChat's retry; another amount is another refund.
    refund_number = options["out_refund_no"] or f"{number}-{amount}"
    status = options["refund_status"] or "SUCCESS"
    fields: dict[str, Any] = {"total": total, "transaction_id": transaction, "out_refund_no": refund_number}
    if options["api"] == "v2":
        fields |= {"status": REFUND_STATES[status], "outer": {"sub_mch_id": sub_mchid} if sub_mchid else {}}
        give_back: Callable[..., Signed] = platform.refund_v2
    else:
        fields |= {"status": status, "sub_mchid": sub_mchid, "notification_id": str(uuid4())}
        give_back = platform.refund_v3
    about = f"{number}: refund {refund_number} of {amount} fen, transaction {transaction}"
    return Notice(about, lambda: give_back(number, amount, **fields))
