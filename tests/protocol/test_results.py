"""Results: what a proven notification means for money, whatever its version."""

import json
from datetime import UTC, datetime

import pytest

from tests.settings import PLATFORM
from wechatpay_notify.protocol import results
from wechatpay_notify.protocol.errors import Malformed
from wechatpay_notify.protocol.types import Notification


def notification(resource, *, version="v3", event_type="TRANSACTION.SUCCESS", kind="payment"):
    return Notification(
        version=version,
        kind=kind,
        notification_id="EV-1",
        event_type=event_type if version == "v3" else "",
        resource=resource,
        created_at=None,
        digest="0" * 64,
    )


def payment(**fields):
    return PLATFORM.payment_resource("A-1", 100, transaction_id="42001") | fields


V2 = {
    "return_code": "SUCCESS",
    "result_code": "SUCCESS",
    "appid": PLATFORM.appid,
    "mch_id": PLATFORM.mchid,
    "trade_type": "JSAPI",
    "total_fee": "100",
    "transaction_id": "42001",
    "out_trade_no": "A-1",
    "time_end": "20261122100000",
}


def v2(**fields):
    return notification({k: v for k, v in (V2 | fields).items() if v is not None}, version="v2")


def test_a_direct_v3_payment():
    (result,) = results.read(notification(payment(success_time="2026-11-22T10:00:00+08:00", attach="mug")))
    assert (result.mchid, result.appid, result.sub_mchid) == (PLATFORM.mchid, PLATFORM.appid, "")
    assert (result.out_trade_no, result.transaction_id, result.trade_state) == ("A-1", "42001", "SUCCESS")
    assert (result.amount, result.currency, result.payer_total) == (100, "CNY", 100)
    assert (result.attach, result.success_time) == ("mug", datetime(2026, 11, 22, 2, tzinfo=UTC))


def test_a_partner_v3_payment_is_the_providers_and_names_the_sub_merchant():
    fields = payment(
        sp_mchid="1900000001",
        sp_appid="wxsp",
        sub_mchid="1900000201",
        sub_appid="wxsub",
        payer={"sp_openid": "o-sp", "sub_openid": "o-sub"},
    )
    del fields["mchid"], fields["appid"]
    (result,) = results.read(notification(fields))
    assert (result.mchid, result.appid) == ("1900000001", "wxsp")
    assert (result.sub_mchid, result.sub_appid) == ("1900000201", "wxsub")
    assert (result.openid, result.sub_openid) == ("o-sp", "o-sub")


def test_an_overseas_v3_payment_has_an_id_and_a_currency_of_its_own():
    fields = payment(amount={"total": 528800, "currency": "HKD", "payer_total": 518799, "payer_currency": "CNY"})
    fields["id"] = fields.pop("transaction_id")
    (result,) = results.read(notification(fields))
    assert (result.transaction_id, result.amount, result.currency) == ("42001", 528800, "HKD")
    assert (result.payer_total, result.payer_currency) == (518799, "CNY")


def test_a_direct_v2_payment():
    (result,) = results.read(v2(cash_fee="90", openid="o-1", attach="mug"))
    assert (result.mchid, result.appid, result.out_trade_no) == (PLATFORM.mchid, PLATFORM.appid, "A-1")
    assert (result.amount, result.currency, result.payer_total) == (100, "CNY", 90)
    assert (result.trade_state, result.openid, result.attach) == ("SUCCESS", "o-1", "mug")
    assert result.success_time == datetime(2026, 11, 22, 2, tzinfo=UTC)


def test_a_combined_v3_order_is_a_payment_for_each_sub_order():
    parts = [
        {
            "mchid": f"190000020{n}",
            "out_trade_no": f"A-{n}",
            "transaction_id": f"4200{n}",
            "trade_state": "SUCCESS",
            "amount": {"total_amount": n, "payer_amount": n, "currency": "CNY"},
        }
        for n in (1, 2)
    ]
    fields = {"combine_mchid": "1", "combine_appid": "wx", "combine_out_trade_no": "C-1", "sub_orders": parts}
    read = results.read(notification(fields))
    assert [(r.mchid, r.out_trade_no, r.amount) for r in read] == [("1900000201", "A-1", 1), ("1900000202", "A-2", 2)]
    assert {(r.combine_out_trade_no, r.appid) for r in read} == {("C-1", "wx")}


PART = {"appid": "wx", "mch_id": "1900000201", "transaction_id": "42001", "out_trade_no": "A-1", "total_fee": 5}


def v2_combined(listed):
    numbers = {"combine_out_trade_no": "C-1", "combine_appid": "wx", "combine_mch_id": "1", "out_trade_no": None}
    return v2(**numbers, sub_order_list=listed)


def test_a_combined_v2_order_is_a_payment_for_each_sub_order():
    (result,) = results.read(v2_combined(json.dumps({"order_num": 1, "order_list": [PART]})))
    assert (result.mchid, result.out_trade_no, result.amount) == ("1900000201", "A-1", 5)
    assert result.combine_out_trade_no == "C-1"


LISTS = {
    "empty": "",
    "no JSON": "x",
    "null": "null",
    "a list": json.dumps([PART]),
    "no list": "{}",
    "an empty list": '{"order_list": []}',
    "a list of text": '{"order_list": ["x"]}',
    "an object": json.dumps({"order_list": PART}),
    "a duplicate name": json.dumps({"order_list": [PART]}).replace("{", '{"order_list": [], ', 1),
    "NaN": json.dumps({"order_list": [PART | {"cash_fee": float("nan")}]}),
    "an amount as text": json.dumps({"order_list": [PART | {"total_fee": "5"}]}),
    "nested 50,000 deep": "[" * 50_000,
}


@pytest.mark.parametrize("listed", LISTS.values(), ids=LISTS)
def test_a_combined_v2_order_without_its_strict_list_is_malformed(listed):
    with pytest.raises(Malformed):
        results.read(v2_combined(listed))


FAILURES = {
    "result_code FAIL": ({"result_code": "FAIL"}, "PAYERROR"),
    "a deduction that failed": ({"trade_type": "PAP", "trade_state": "PAY_FAIL"}, "PAY_FAIL"),
    "a failure that says SUCCESS": ({"result_code": "FAIL", "trade_state": "SUCCESS"}, "PAYERROR"),
    "between": ({"trade_state": "ACCEPT"}, "ACCEPT"),
    "paid": ({"trade_state": "SUCCESS"}, "SUCCESS"),
}


@pytest.mark.parametrize(("fields", "state"), FAILURES.values(), ids=FAILURES)
def test_v2_says_its_state_in_three_elements(fields, state):
    (result,) = results.read(v2(**fields))
    assert result.trade_state == state


@pytest.mark.parametrize("state", sorted(results.FAILED))
def test_a_payment_that_failed_may_lack_transaction_and_amount(state):
    fields = payment(trade_state=state, amount=None)
    del fields["transaction_id"]
    (result,) = results.read(notification(fields, event_type="TRANSACTION.FAIL"))
    assert (result.transaction_id, result.amount) == ("", 0)
    (result,) = results.read(v2(trade_state=state, transaction_id=None, total_fee=None))
    assert (result.transaction_id, result.amount) == ("", 0)


@pytest.mark.parametrize("kind", ["refund", "event"])
@pytest.mark.parametrize("fields", [payment(), {}, {"sub_orders": None}])
def test_what_is_no_payment_has_none(kind, fields):
    read = results.read(notification(fields, kind=kind, event_type="COUPON.USE"))
    assert not [result for result in read if hasattr(result, "trade_state")]


def test_profit_sharing_is_no_payment_though_it_comes_as_one():
    fields = {"mchid": "1", "transaction_id": "42001", "order_id": "3", "receiver": {"amount": 100}}
    assert results.read(notification(fields)) == ()


def test_type_and_shape_must_agree():
    assert results.read(notification(payment(), event_type="TRANSACTION.FAIL")) == ()


@pytest.mark.parametrize("refund", ["refund_id", "out_refund_no"])
def test_a_v2_refund_answer_is_no_payment(refund):
    with pytest.raises(Malformed, match="refund"):
        results.read(v2(**{refund: "5"}))


@pytest.mark.parametrize("fee_type", [None, "", "CNY"])
def test_a_mainland_payment_without_a_currency_is_in_yuan(fee_type):
    assert results.read(v2(fee_type=fee_type))[0].currency == "CNY"
    assert results.read(notification(payment(amount={"total": 1, "currency": fee_type})))[0].currency == "CNY"


def test_a_payment_with_nothing_to_pay_is_complete():
    assert results.read(notification(payment(amount={"total": 100, "payer_total": 0})))[0].payer_total == 0
    assert results.read(v2(cash_fee="0"))[0].payer_total == 0


@pytest.mark.parametrize(
    ("text", "kept"),
    [("a\0b", "ab"), ("a\ud800b", "ab"), ("✓" * 200, "✓" * 128), ("😀", "😀"), (5, ""), (None, ""), (["x"], "")],
)
def test_an_optional_text_is_cleaned_and_cut_and_never_a_reason_to_refuse(text, kept):
    assert results.read(notification(payment(attach=text)))[0].attach == kept


def test_every_refusal_of_a_payment_is_proven():
    with pytest.raises(Malformed) as refused:
        results.read(notification(payment(out_trade_no="")))
    assert refused.value.proven
