"""Genuine notifications that are not as the shop recorded it: amounts, identities, numbers, states, odd extras."""

import json

import pytest

from tests.answers import answer
from tests.attacks import (
    MAKERS,
    NOTIFY,
    NUMBER,
    TRANSACTION,
    cases,
    fields_v2,
    genuine,
    genuine_v2,
    sealed,
    sealed_text,
)
from tests.settings import PLATFORM
from wechatpay_notify.models import NotificationLog, Order

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("version", "make"), MAKERS)
def test_t33_one_transaction_pays_one_order(client, accept, shipped, unexpected, version, make):
    accept(PLATFORM.payment_v3(NUMBER, 100, transaction_id=TRANSACTION))
    other = Order.objects.expect(out_trade_no="FG-02", amount=100)
    response = make("FG-02", 100, transaction_id=TRANSACTION).post(client, NOTIFY)
    assert (response.status_code, response.content) == answer(version, "conflict")
    other.refresh_from_db()
    assert other.status == "pending"
    assert len(shipped.calls) == 1
    assert [call["reason"] for call in unexpected.calls] == ["conflict"]


V3_AMOUNTS = {
    "one more": (101, "amount_mismatch"),
    "one less": (99, "amount_mismatch"),
    "one": (1, "amount_mismatch"),
    "largest": (10**18 - 1, "amount_mismatch"),
    "zero": (0, "malformed"),
    "negative": (-100, "malformed"),
    "2^63": (2**63, "malformed"),
    "2^64 + 100": (2**64 + 100, "malformed"),
    "4000 digits": (int("1" * 4000), "malformed"),
    "float": (100.0, "malformed"),
    "fraction": (100.5, "malformed"),
    "text": ("100", "malformed"),
    "full-width text": ("１００", "malformed"),
    "underscore": ("1_00", "malformed"),
    "true": (True, "malformed"),
    "null": (None, "malformed"),
    "list": ([100], "malformed"),
    "object": ({"total": 100}, "malformed"),
}


@pytest.mark.parametrize(("total", "outcome"), cases(V3_AMOUNTS))
def test_t40_a_v3_amount_is_a_whole_number_and_the_orders(attack, total, outcome):
    attack(genuine(amount={"total": total, "payer_total": 100, "currency": "CNY"}), outcome)


@pytest.mark.parametrize("written", ["1e2", "100.0", "1E+2", "-0", "100e0"])
def test_t40_a_v3_amount_is_written_as_a_whole_number(attack, written):
    text = json.dumps(PLATFORM.payment_resource(NUMBER, 100)).replace('"total": 100', f'"total": {written}')
    assert written in text
    attack(sealed_text(text.encode()), "malformed")


@pytest.mark.parametrize("amount", cases({"absent": None, "number": 100, "list": [100], "text": "100", "empty": {}}))
def test_t40_a_v3_payment_without_an_amount_is_malformed(attack, amount):
    attack(genuine(amount=amount), "malformed")


V2_AMOUNTS = {
    "101": "amount_mismatch",
    "99": "amount_mismatch",
    "1": "amount_mismatch",
    "9" * 18: "amount_mismatch",
    "0": "malformed",
    "00": "malformed",
    "0100": "malformed",
    "-100": "malformed",
    "+100": "malformed",
    " 100": "malformed",
    "100 ": "malformed",
    "100\n": "malformed",
    "100.0": "malformed",
    "1e2": "malformed",
    "1_00": "malformed",
    "1,00": "malformed",
    "0x64": "malformed",
    "１００": "malformed",
    "١٠٠": "malformed",
    "true": "malformed",
    "9" * 19: "malformed",
    "1" * 5000: "malformed",
    "": "malformed",
}


@pytest.mark.parametrize(("total_fee", "outcome"), V2_AMOUNTS.items(), ids=range(len(V2_AMOUNTS)))
def test_t40_a_v2_amount_is_plain_digits_and_the_orders(attack, total_fee, outcome):
    attack(PLATFORM.payment_v2(NUMBER, 100, total_fee=total_fee), outcome, version="v2")


CURRENCIES = {
    "USD": "amount_mismatch",
    "HKD": "amount_mismatch",
    "CNYX": "amount_mismatch",
    "cny": "malformed",
    "CNY ": "malformed",
    "ＣＮＹ": "malformed",
    "C": "malformed",
    "X" * 5000: "malformed",
}


@pytest.mark.parametrize(("currency", "outcome"), CURRENCIES.items(), ids=range(len(CURRENCIES)))
def test_t41_another_currency_does_not_confirm(attack, currency, outcome):
    attack(genuine(amount={"total": 100, "currency": currency}), outcome)
    attack(PLATFORM.payment_v2(NUMBER, 100, fee_type=currency), outcome, version="v2")


@pytest.mark.parametrize("currency", cases({"number": 156, "list": ["CNY"], "true": True, "object": {}}))
def test_t41_a_currency_is_text(attack, currency):
    attack(genuine(amount={"total": 100, "currency": currency}), "malformed")


def test_t41_an_overseas_payment_names_its_currency(attack):
    resource = PLATFORM.payment_resource(NUMBER, 100, amount={"total": 100})
    resource["id"] = resource.pop("transaction_id")
    attack(PLATFORM.v3("TRANSACTION.SUCCESS", resource), "amount_mismatch")


def test_t41_yen_are_not_fen(attack):
    Order.objects.expect(out_trade_no="JPY-1", amount=100, currency="JPY")
    attack(PLATFORM.payment_v3("JPY-1", 100), "amount_mismatch")


def as_partner(**identities):
    """A rightly signed v3 payment to a sub-merchant."""
    resource = PLATFORM.payment_resource(NUMBER, 100)
    del resource["mchid"], resource["appid"]
    mine = {"sp_mchid": PLATFORM.mchid, "sp_appid": PLATFORM.appid, "sub_mchid": "1900000201"}
    return PLATFORM.v3("TRANSACTION.SUCCESS", resource | mine | identities)


STRANGERS = {
    "other mchid": (lambda: genuine(mchid="1900000999"), "v3"),
    "other appid": (lambda: genuine(appid="wx0000000000000000"), "v3"),
    "foreign provider, we its sub-merchant": (
        lambda: as_partner(sp_mchid="1900000999", sp_appid="wx0000000000000000", sub_mchid=PLATFORM.mchid),
        "v3",
    ),
    "foreign provider beside our mchid": (lambda: as_partner(sp_mchid="1900000999", mchid=PLATFORM.mchid), "v3"),
    "v2 other mch_id": (lambda: PLATFORM.payment_v2(NUMBER, 100, mch_id="1900000999"), "v2"),
    "v2 other appid": (lambda: PLATFORM.payment_v2(NUMBER, 100, appid="wx0000000000000000"), "v2"),
    "v2 foreign provider, we its sub-merchant": (
        lambda: PLATFORM.payment_v2(NUMBER, 100, mch_id="1900000999", sub_mch_id=PLATFORM.mchid),
        "v2",
    ),
}


@pytest.mark.parametrize(("make", "version"), cases(STRANGERS))
def test_t42_a_payment_to_another_merchant_does_not_confirm(attack, configure, make, version):
    configure(APPIDS=[PLATFORM.appid])
    attack(make(), "wrong_merchant", version=version)


@pytest.mark.parametrize(("version", "make"), MAKERS)
@pytest.mark.parametrize("name", ["appid", "sub_appid"])
def test_t42_a_payment_in_another_app_than_ordered_does_not_confirm(attack, version, make, name):
    Order.objects.expect(out_trade_no="APP-1", amount=100, **{name: "wx1111111111111111"})
    attack(make("APP-1", 100), "wrong_merchant", version=version)


SUB_MERCHANTS = {
    "v3": (lambda number: as_partner(sub_mchid=number), "v3"),
    "v2": (lambda number: genuine_v2(sub_mch_id=number), "v2"),
}


@pytest.mark.parametrize(("pay", "version"), cases(SUB_MERCHANTS))
def test_t42_a_payment_to_a_sub_merchant_does_not_pay_anothers_order(attack, configure, pay, version):
    attack(pay("1900000201"), "unknown_order", version=version)
    configure(SUB_MCHIDS=["1900000201"])
    attack(pay("1900000202"), "wrong_merchant", version=version)


NUMBERS = {
    "lower case": ("fg-01az", "unknown_order"),
    "upper case": ("FG-01AZ", "unknown_order"),
    "padded": ("FG-01az ", "malformed"),
    "space in front": (" FG-01az", "malformed"),
    "line feed": ("FG-01az\n", "malformed"),
    "accent": ("FG-01áz", "malformed"),
    "combining accent": ("FG-01a\u0301z", "malformed"),
    "homoglyph": ("FG-01аz", "malformed"),
    "full width": ("ＦＧ-01az", "malformed"),
    "zero width": ("FG-01\u200baz", "malformed"),
    "quote": ("FG-01az'--", "malformed"),
    "backslash": ("FG-01az\\", "malformed"),
    "wildcard": ("FG-01a%", "malformed"),
    "any one": ("FG_01az", "unknown_order"),
    "star": ("FG*", "unknown_order"),
    "path": ("../FG-01az", "malformed"),
    "33 characters": ("x" * 33, "malformed"),
    "20 kB": ("x" * 20_000, "malformed"),
}


@pytest.mark.parametrize(("version", "make"), MAKERS)
@pytest.mark.parametrize(("number", "outcome"), cases(NUMBERS))
def test_t43_an_order_number_is_compared_exactly(attack, version, make, number, outcome):
    Order.objects.expect(out_trade_no="FG-02", amount=100)
    attack(make(number, 100), outcome, version=version)


@pytest.mark.parametrize(
    "number", cases({"NUL": "FG-01az\0", "list": [NUMBER], "object": {"a": 1}, "number": 1, "true": True})
)
def test_t43_a_v3_order_number_is_text(attack, number):
    attack(genuine(out_trade_no=number), "malformed")


def test_t43_orders_that_differ_in_case_are_two(client, accept, shipped):
    other = Order.objects.expect(out_trade_no=NUMBER.swapcase(), amount=100)
    accept(genuine())
    other.refresh_from_db()
    assert other.status == "pending"
    assert PLATFORM.payment_v2(NUMBER.swapcase(), 100).post(client, NOTIFY).status_code == 200
    other.refresh_from_db()
    assert other.status == "paid"


STATES = {
    "lower case": ("success", "malformed"),
    "padded": ("SUCCESS ", "malformed"),
    "in front": ("\tSUCCESS", "malformed"),
    "full width": ("ＳＵＣＣＥＳＳ", "malformed"),
    "list": (["SUCCESS"], "malformed"),
    "true": (True, "malformed"),
    "null": (None, "malformed"),
    "empty": ("", "malformed"),
    "longer": ("SUCCESS_", "received"),
    "refunded": ("REFUND", "received"),
    "not paid": ("NOTPAY", "received"),
    "paying": ("USERPAYING", "received"),
    "unknown": ("XYZ", "received"),
}


@pytest.mark.parametrize(("state", "outcome"), cases(STATES))
def test_t44_only_success_is_success(attack, state, outcome):
    attack(genuine(trade_state=state), outcome)


STATES_V2 = {
    "return_code FAIL": ({"return_code": "FAIL"}, "malformed"),
    "return_code lower case": ({"return_code": "success"}, "malformed"),
    "result_code lower case": ({"result_code": "success"}, "malformed"),
    "result_code padded": ({"result_code": "SUCCESS "}, "malformed"),
    "result_code unknown": ({"result_code": "OK"}, "malformed"),
    "trade_state lower case": ({"trade_state": "success"}, "received"),
    "trade_state padded": ({"trade_state": " SUCCESS"}, "received"),
    "trade_state 5 kB": ({"trade_state": "✓" * 1700}, "received"),
    "trade_state between": ({"trade_state": "USERPAYING"}, "received"),
}


@pytest.mark.parametrize(("fields", "outcome"), cases(STATES_V2))
def test_t44_only_success_is_success_in_v2(attack, fields, outcome):
    attack(genuine_v2(**fields), outcome, version="v2")


@pytest.mark.parametrize(
    "event_type",
    [
        "PAYSCORE.USER_OPEN_SERVICE",
        "COUPON.USE",
        "SECURITY_ECHO.SUCCESS",
        "transaction.success",
        "TRANSACTION.SUCCESS ",
        "TRANSACTION.SUCCESS\0",
        "TRANSACTION.SUCCESS\n",
        "TRANSACTION.PAY_BACK",
        "__init__",
        "\ud800",
        "支付成功",
        "X" * 300_000,
    ],
    ids=ascii,
)
def test_t45_another_event_type_is_received_without_effect(attack, event_type):
    payment = json.dumps(PLATFORM.payment_resource(NUMBER, 100)).encode()
    row = attack(sealed(PLATFORM.encrypt(payment), event_type=event_type), "received")
    assert len(row.event_type) <= 64


MISSING = {"missing": None, "null": ..., "empty": "", "too long": "x" * 5000, "number": 7, "list": []}


@pytest.mark.parametrize("name", ["mchid", "appid", "out_trade_no", "transaction_id", "trade_state"])
@pytest.mark.parametrize("value", cases(MISSING))
def test_t46_a_required_v3_field_that_is_missing_is_malformed(attack, name, value):
    resource = PLATFORM.payment_resource(NUMBER, 100) | {name: None if value is ... else value}
    if value is None:
        del resource[name]
    attack(PLATFORM.v3("TRANSACTION.SUCCESS", resource), "malformed")


@pytest.mark.parametrize(
    "name",
    ["mch_id", "appid", "out_trade_no", "transaction_id", "total_fee", "trade_type", "result_code", "return_code"],
)
@pytest.mark.parametrize("value", cases({"missing": None, "empty": "", "blank": " ", "too long": "x" * 5000}))
def test_t46_a_required_v2_field_that_is_missing_is_malformed(attack, name, value):
    attack(PLATFORM.v2(fields_v2(**{name: value})), "malformed", version="v2")


ODD_V3 = {
    "attach with NUL": {"attach": "a\0b"},
    "attach with a surrogate": {"attach": "a\ud800b"},
    "attach of 300 kB": {"attach": "✓" * 100_000},
    "attach with emoji": {"attach": "😀" * 200},
    "attach a list": {"attach": ["x"]},
    "attach null": {"attach": None},
    "bank_type of 300 kB": {"bank_type": "x" * 300_000},
    "trade_type an object": {"trade_type": {"a": 1}},
    "payer a list": {"payer": ["x"]},
    "payer null": {"payer": None},
    "openid a number": {"payer": {"openid": 5}},
    "openid with NUL": {"payer": {"openid": "\0" * 200}},
    "payer_total huge": {"amount": {"total": 100, "payer_total": 2**70}},
    "payer_total negative": {"amount": {"total": 100, "payer_total": -1}},
    "payer_total text": {"amount": {"total": 100, "payer_total": "100"}},
    "payer_currency a list": {"amount": {"total": 100, "payer_currency": ["CNY"]}},
    "no success_time": {"success_time": None},
    "success_time junk": {"success_time": "yesterday"},
    "success_time empty": {"success_time": ""},
    "success_time with NUL": {"success_time": "2026-11-22T10:00:00\0"},
    "success_time a number": {"success_time": 1_795_000_000},
    "success_time 30 February": {"success_time": "2026-02-30T10:00:00+08:00"},
    "success_time year 1": {"success_time": "0001-01-01T00:00:00+08:00"},
    "success_time year 9999": {"success_time": "9999-12-31T23:59:59-12:00"},
    "success_time without a zone": {"success_time": "2026-11-22T10:00:00"},
    "success_time long": {"success_time": "2026-11-22T10:00:00+08:00" * 10_000},
    "extra fields": {"x": {"y": [1, 2.5, None, {"z": "\0\ud800"}]}, "": "", "\0": "\0"},
    "promotion_detail junk": {"promotion_detail": "x"},
}


@pytest.mark.parametrize("fields", cases(ODD_V3))
def test_t47_a_v3_payment_is_confirmed_whatever_its_optional_fields(accept, fields):
    row = accept(sealed_text(json.dumps(PLATFORM.payment_resource(NUMBER, 100, **fields)).encode()))
    order = Order.objects.get()
    assert order.paid_at is not None
    assert len(order.attach) <= 128
    assert row.resource["out_trade_no"] == NUMBER


@pytest.mark.parametrize(
    "create_time", cases({"absent": None, "junk": "x", "number": 5, "long": "9" * 300_000, "list": []})
)
def test_t47_a_v3_payment_is_confirmed_whatever_its_create_time(accept, create_time):
    payment = json.dumps(PLATFORM.payment_resource(NUMBER, 100)).encode()
    accept(sealed(PLATFORM.encrypt(payment), create_time=create_time, summary="\0" * 9000, resource_type=[]))


ODD_V2 = {
    "attach with emoji": {"attach": "😀" * 200},
    "attach of 50 kB": {"attach": "x" * 50_000},
    "attach with markup": {"attach": "<xml>&amp;]]>"},
    "attach blank": {"attach": " "},
    "attach like a query": {"attach": "uid=1&pid=2&=&&"},
    "time_end junk": {"time_end": "yesterday"},
    "time_end 30 February": {"time_end": "20260230100000"},
    "time_end full width": {"time_end": "２０２６１１２２１０００００"},
    "time_end year 1": {"time_end": "00010101000000"},
    "time_end year 9999": {"time_end": "99991231235959"},
    "time_end empty": {"time_end": ""},
    "cash_fee junk": {"cash_fee": "x"},
    "cash_fee huge": {"cash_fee": "9" * 400},
    "cash_fee_type long": {"cash_fee_type": "x" * 400},
    "bank_type long": {"bank_type": "x" * 400},
    "openid long": {"openid": "x" * 4000},
    "unknown fields": {f"x_{i}": "1" for i in range(200)},
}


@pytest.mark.parametrize("fields", cases(ODD_V2))
def test_t47_a_v2_payment_is_confirmed_whatever_its_optional_fields(accept, fields):
    accept(genuine_v2(**fields))
    assert Order.objects.get().paid_at is not None


@pytest.mark.parametrize(
    "identity",
    cases({
        "absent": None,
        "empty": "",
        "huge": "x" * 300_000,
        "NUL": "\0" * 70,
        "surrogate": "\ud800",
        "script": "<script>alert(1)</script>",
        "number": 5,
        "list": [],
    }),
)  # fmt: skip
def test_t48_a_payment_is_confirmed_once_whatever_its_notification_id(client, accept, shipped, identity):
    payment = json.dumps(PLATFORM.payment_resource(NUMBER, 100)).encode()
    signed = sealed(PLATFORM.encrypt(payment), id=identity)
    row = accept(signed)
    assert len(row.notification_id) <= 64
    assert signed.post(client, NOTIFY).status_code == 200
    assert NotificationLog.objects.latest("pk").outcome == "duplicate"
    assert len(shipped.calls) == 1


def test_t48_two_payments_under_one_notification_id_are_two(client, accept, shipped):
    Order.objects.expect(out_trade_no="FG-02", amount=100)
    accept(genuine(notification_id="EV-1"))
    PLATFORM.payment_v3("FG-02", 100, notification_id="EV-1").post(client, NOTIFY)
    assert len(shipped.calls) == 2


def sub_order(number=NUMBER, transaction=TRANSACTION, **fields):
    return {
        "mchid": PLATFORM.mchid,
        "out_trade_no": number,
        "transaction_id": transaction,
        "trade_state": "SUCCESS",
        "amount": {"total_amount": 100, "currency": "CNY"},
    } | fields


def combined(*sub_orders, **fields):
    """A rightly signed combined order."""
    resource = {
        "combine_appid": PLATFORM.appid,
        "combine_mchid": PLATFORM.mchid,
        "combine_out_trade_no": "C-1",
        "sub_orders": sub_orders,
    }
    return PLATFORM.v3("TRANSACTION.SUCCESS", resource | fields)


COMBINED = {
    "one amount wrong": (
        lambda: combined(sub_order(), sub_order("FG-02", "t2", amount={"total_amount": 1, "currency": "CNY"})),
        "amount_mismatch",
    ),
    "one unknown": (lambda: combined(sub_order(), sub_order("FG-99", "t2")), "unknown_order"),
    "one of a foreign merchant": (
        lambda: combined(sub_order(), sub_order("FG-02", "t2", mchid="1900000999")),
        "unknown_order",
    ),
    "one without state": (lambda: combined(sub_order(), sub_order("FG-02", "t2", trade_state=None)), "malformed"),
    "foreign initiator": (lambda: combined(sub_order(), combine_mchid="1900000999"), "wrong_merchant"),
    "initiator a number": (lambda: combined(sub_order(), combine_mchid=int(PLATFORM.mchid)), "malformed"),
    "initiator a list": (lambda: combined(sub_order(), combine_mchid=[PLATFORM.mchid]), "malformed"),
    "no initiator": (lambda: combined(sub_order(), combine_mchid=None), "malformed"),
    "no sub orders": (combined, "malformed"),
    "51 sub orders": (lambda: combined(*[sub_order()] * 51), "malformed"),
    "a sub order that is no object": (lambda: combined(sub_order(), "x"), "malformed"),
    "sub orders an object": (lambda: combined(sub_orders=sub_order()), "malformed"),
    "a sub order twice": (lambda: combined(sub_order(), sub_order()), "malformed"),
    "an order paid by two transactions": (lambda: combined(sub_order(), sub_order(transaction="t2")), "malformed"),
    "a transaction for two orders": (lambda: combined(sub_order(), sub_order("FG-02")), "malformed"),
    "an unknown order twice": (lambda: combined(sub_order("FG-99"), sub_order("FG-99")), "malformed"),
}


@pytest.mark.parametrize(("make", "outcome"), cases(COMBINED))
def test_t96_one_wrong_sub_order_holds_the_whole_combined_order(attack, make, outcome):
    Order.objects.expect(out_trade_no="FG-02", amount=100)
    attack(make(), outcome)
