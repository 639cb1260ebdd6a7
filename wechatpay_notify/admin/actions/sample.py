"""Sample: the source of a pytest test that sends what a notification said, with pretend values for personal ones.

Never a word of the sender's as code: everything it said stands in literals of plain ASCII.
"""

import re
from typing import Any

from wechatpay_notify.admin.disclosure import replaced_json
from wechatpay_notify.models import Discrepancy, NotificationLog, Order
from wechatpay_notify.protocol import v3
from wechatpay_notify.protocol.errors import NotificationError
from wechatpay_notify.protocol.flatxml import parse_xml
from wechatpay_notify.protocol.results import PAID, read, storable
from wechatpay_notify.protocol.types import Kind, RefundResult, Result

MORE_PERSONAL = re.compile(
    r"user_received_account|refund_recv_accout|client_ip|nickname|real_?name|id_?card|id_number|address|plate_number"
    r"|device_id|(?:payer|user|receiver|contact)_?name|email",
    re.IGNORECASE,
)
"""Names of elements that the pages show and a file for others should not."""
WHOSE = ("mch_id", "sub_mch_id", "appid", "sub_appid", "app_id")
MCHIDS = ("combine_mchid", "sp_mchid", "mchid", "combine_mch_id", "mch_id")
MERCHANT_NUMBER = "1900000109"

TEMPLATE = '''"""What WeChat Pay once sent, as a test: signed anew with throw-away keys each time it runs.

Personal values are pretend ones. Say at the end what your shop has to have done by then.
"""

import pytest
from django.urls import reverse

from wechatpay_notify.models import NotificationLog, Order{more_models}
from wechatpay_notify.testing import Platform{more_testing}

PLATFORM = Platform(mchid={mchid})
RESOURCE = {resource}
ORDERS = {orders}


@pytest.mark.django_db
def test_notification_{pk}(client, settings):
    ours = {{"MERCHANTS": {{"default": PLATFORM.merchant()}}, "SOURCE_NETWORKS": None, "DELIVERY": "inline"}}
    settings.WECHATPAY_NOTIFY = {{**getattr(settings, "WECHATPAY_NOTIFY", {{}}), **ours}}
    for order in ORDERS:
        Order.objects.expect(**order)
{before}    notification = {signed}
    client.generic(
        "POST",
        reverse("wechatpay_notify:notify"),
        notification.body,
        content_type=notification.headers["Content-Type"],
        headers=notification.headers,
    )
    stored = NotificationLog.objects.latest("pk")
    assert stored.verified, stored.detail
{after}'''
PAID_BEFORE = """    paid = {{"status": "paid", "transaction_id": {transaction_id}, "payer_total": {total}}}
    Order.objects.filter(out_trade_no={out_trade_no}).update(**paid)
"""
IS_PAID = '    assert {{order.status for order in Order.objects.all()}} == {{"paid"}}, stored.detail\n'
IS_AS_DECIDED = "    assert stored.outcome == {outcome}, stored.detail\n"
IS_REFUNDED = "    assert Refund.objects.get(out_refund_no={out_refund_no}).status == {refund_status}, stored.detail\n"


def source(row: NotificationLog) -> str:
    """The test, in ASCII. The row must be proven and hold what was decrypted of it."""
    said = redacted(row.resource)
    results = _results(row, said)
    refund = next((result for result in results if isinstance(result, RefundResult)), None)
    before = after = ""
    orders = [_order(result) for result in results]
    refused = row.outcome == "amount_mismatch"
    differ = [_as_recorded(*pair) for pair in zip(orders, results, strict=True)] if refused else []
    if refund is not None:
        before = PAID_BEFORE.format(
            transaction_id=literal(refund.transaction_id),
            total=literal(refund.total),
            out_trade_no=literal(refund.out_trade_no),
        )
        after = IS_REFUNDED.format(
            out_refund_no=literal(refund.out_refund_no), refund_status=literal(refund.refund_status)
        )
    elif any(differ):
        after = IS_AS_DECIDED.format(outcome=literal(row.outcome))
    elif results and all(result.trade_state == PAID for result in results):  # type: ignore[union-attr]
        after = IS_PAID.format()
    signed, resource = _signed(row, said)
    return TEMPLATE.format(
        pk=int(row.pk),
        mchid=literal(next((said[name] for name in MCHIDS if isinstance(said.get(name), str)), MERCHANT_NUMBER)),
        resource=literal(resource),
        orders=literal(orders),
        signed=signed,
        before=before,
        after=after,
        more_models=", Refund" if refund else "",
        more_testing=", xml" if "xml(" in signed else "",
    )


def redacted(resource: Any) -> Any:
    """What was said with pretend values for personal ones: the same one for the same value, wherever it stands."""
    pretend = _Pretend()
    return replaced_json(_clean(resource, pretend), pretend)


def literal(value: Any, indent: str = "") -> str:
    """A JSON value as Python source in ASCII, one entry a line."""
    inner = f"{indent}    "
    if isinstance(value, dict) and value:
        entries = [f"{inner}{str(name)!a}: {literal(part, inner)},\n" for name, part in value.items()]
        return "{\n" + "".join(entries) + indent + "}"
    if isinstance(value, list) and value:
        return "[\n" + "".join(f"{inner}{literal(part, inner)},\n" for part in value) + indent + "]"
    return ascii(value)


class _Pretend:
    """Pretend values, numbered as they come: nothing of the real ones can be computed from them."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._made: set[str] = set()

    def __call__(self, value: Any) -> Any:
        if isinstance(value, bool) or value in (None, "") or str(value) in self._made:
            return value
        number = self._known.setdefault(str(value), len(self._known) + 1)
        made = f"138{number:08d}" if str(value).isdecimal() else f"oPretendPayer{number:015d}"
        self._made.add(made)
        return int(made) if isinstance(value, int) else made


def _clean(value: Any, pretend: _Pretend) -> Any:
    """Without the values that only a file hides, and without characters that no request can carry."""
    if isinstance(value, dict):
        return {
            storable(str(name)): pretend(part) if MORE_PERSONAL.search(str(name)) else _clean(part, pretend)
            for name, part in value.items()
        }
    if isinstance(value, list):
        return [_clean(part, pretend) for part in value]
    return storable(value) if isinstance(value, str) else value


def _order(result: Result) -> dict[str, Any]:
    amount = result.total if isinstance(result, RefundResult) else result.amount
    return {
        "out_trade_no": result.out_trade_no,
        "amount": amount or 1,  # a failed payment may name none
        "currency": result.currency or "CNY",
        "mchid": result.mchid,
        "sub_mchid": result.sub_mchid,
    }


def _as_recorded(order: dict[str, Any], result: Result) -> bool:
    """Put in the price that the shop had recorded when this came; whether it is another one than was paid."""
    paid, number = (order["amount"], order["currency"]), order["out_trade_no"]
    recorded = Order.objects.filter(out_trade_no=number, mchid=order["mchid"]).only("amount", "currency").first()
    if recorded is not None:
        order |= {"amount": recorded.amount, "currency": recorded.currency}
    noted = Discrepancy.objects.filter(
        out_trade_no=number, transaction_id=result.transaction_id, reason=Discrepancy.Reason.AMOUNT_MISMATCH
    )
    then = noted.exclude(expected_amount=None).order_by("-pk").values_list("expected_amount", flat=True).first()
    if then is not None:  # the order may have been mended since
        order["amount"] = then
    return (order["amount"], order["currency"]) != paid


def _signed(row: NotificationLog, said: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The expression that signs it, and what it takes as RESOURCE."""
    event_type, event_id = literal(storable(row.event_type)), literal(storable(row.notification_id))
    if row.api_version == NotificationLog.Version.V3:
        return f"PLATFORM.v3({event_type}, RESOURCE, notification_id={event_id})", said
    names = parse_xml(bytes(row.body), "xml").keys()
    inner = {name: value for name, value in said.items() if name not in WHOSE}
    outer = {name: value for name, value in said.items() if name in WHOSE}
    if "event_ciphertext" in names:
        return f"PLATFORM.event_v2({event_type}, RESOURCE, event_id={event_id}, **{literal(outer, '    ')})", inner
    if "sign" not in names:
        around = literal({"return_code": "SUCCESS"} | outer, "    ")
        return f'xml({around} | {{"req_info": PLATFORM.req_info(xml(RESOURCE, "root").body)}})', inner
    fields = {name: value for name, value in said.items() if name != "sign"}
    algorithm = "HMAC-SHA256" if len(said.get("sign", "")) == 64 else "MD5"
    return f"PLATFORM.v2(RESOURCE, sign_type={literal(algorithm)})", fields


def _kind(row: NotificationLog) -> Kind:
    if row.api_version == NotificationLog.Version.V3:
        return v3.KINDS.get(row.event_type, "event")
    names = parse_xml(bytes(row.body), "xml").keys()
    if "req_info" in names and "sign" not in names:
        return "refund"
    return "event" if row.event_type else "payment"


def _results(row: NotificationLog, said: dict[str, Any]) -> tuple[Result, ...]:
    """What it means for money; nothing of an event, or of what cannot be read."""
    notification = row.as_notification(_kind(row), said, event_type=row.event_type)
    try:
        return read(notification)
    except NotificationError:
        return ()
