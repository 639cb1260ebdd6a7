"""Combined orders: one notification for several orders, all of them or none, and each told once."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.answers import outcome
from tests.attacks import cases
from tests.settings import PLATFORM
from tests.test_payment import statements
from wechatpay_notify.models import Discrepancy, NotificationLog, Order, SignalDelivery
from wechatpay_notify.processing import confirm_payment
from wechatpay_notify.protocol.results import payment_from_v3
from wechatpay_notify.signals import payment_failed
from wechatpay_notify.testing import OPENID

pytestmark = pytest.mark.django_db

COMBINED = "C-2026-0001"
SUB = "1900000201"


def number(part):
    return f"S-{part:02}"


def transaction(part):
    return f"42000000012026112200000000{part:02}"


def v3_part(part, amount=100, state="SUCCESS", **fields):
    return {
        "mchid": PLATFORM.mchid,
        "out_trade_no": number(part),
        "transaction_id": transaction(part),
        "trade_type": "JSAPI",
        "trade_state": state,
        "bank_type": "OTHERS",
        "success_time": "2026-11-22T10:00:00+08:00",
        "amount": {"total_amount": amount, "payer_amount": amount, "currency": "CNY", "payer_currency": "CNY"},
    } | fields


def combined_v3(*parts, **fields):
    resource = {
        "combine_appid": PLATFORM.appid,
        "combine_mchid": PLATFORM.mchid,
        "combine_out_trade_no": COMBINED,
        "sub_orders": parts,
        "combine_payer_info": {"openid": OPENID},
    }
    failed = any(part["trade_state"] != "SUCCESS" for part in parts)
    return PLATFORM.v3(f"TRANSACTION.{'FAIL' if failed else 'SUCCESS'}", resource | fields)


def v2_part(part, amount=100, **fields):
    return {
        "appid": PLATFORM.appid,
        "mch_id": PLATFORM.mchid,
        "openid": OPENID,
        "out_trade_no": number(part),
        "transaction_id": transaction(part),
        "total_fee": amount,
        "cash_fee": amount,
        "time_end": "20261122100000",
    } | fields


def combined_v2(*parts, **fields):
    notice = {
        "return_code": "SUCCESS",
        "result_code": "SUCCESS",
        "combine_appid": PLATFORM.appid,
        "combine_mch_id": PLATFORM.mchid,
        "combine_out_trade_no": COMBINED,
        "nonce_str": "5K8264ILTKCH16CQ2502SI8ZNMTM67VS",
        "trade_type": "JSAPI",
        "sub_order_list": json.dumps({"order_num": len(parts), "order_list": parts}),
    }
    return PLATFORM.v2(notice | fields, sign_type="HMAC-SHA256")


VERSIONS = {"v3": (combined_v3, v3_part), "v2": (combined_v2, v2_part)}


@pytest.fixture(params=VERSIONS)
def version(request):
    return request.param


@pytest.fixture
def combine(version):
    return VERSIONS[version][0]


@pytest.fixture
def sub_order(version):
    return VERSIONS[version][1]


@pytest.fixture
def send(client):
    """Post it; returns the outcome. The row is found by the combined order's own number."""

    def post(signed):
        found = outcome(client, signed)
        assert NotificationLog.objects.latest("pk").out_trade_no in {COMBINED, ""}
        return found

    return post


def expect(*parts, amount=100, **fields):
    return [
        Order.objects.expect(out_trade_no=number(part), amount=amount, combine_out_trade_no=COMBINED, **fields)
        for part in parts
    ]


def paid():
    return list(Order.objects.filter(status="paid").order_by("out_trade_no").values_list("out_trade_no", flat=True))


def told(receiver):
    return [call["order"].out_trade_no for call in receiver.calls]


@pytest.mark.parametrize("count", [2, 10, 50])
def test_each_sub_order_is_confirmed_by_its_own_transaction_and_told_once(send, shipped, combine, sub_order, count):
    parts = range(count)
    expect(*parts)
    signed = combine(*map(sub_order, parts))
    assert [send(signed) for _ in range(3)] == ["confirmed", "duplicate", "duplicate"]
    assert paid() == told(shipped) == [number(part) for part in parts]
    for part, call in zip(parts, shipped.calls, strict=True):
        assert call["order"].transaction_id == call["payment"].transaction_id == transaction(part)
        assert call["payment"].combine_out_trade_no == COMBINED
        assert call["order"].openid == OPENID
    assert len({call["idempotency_key"] for call in shipped.calls}) == count


def test_one_wrong_amount_holds_all_until_the_record_is_mended(send, shipped, unexpected, combine, sub_order):
    expect(1, 3)
    (short,) = expect(2, amount=99)
    signed = combine(*map(sub_order, (1, 2, 3)))
    assert [send(signed) for _ in range(2)] == ["amount_mismatch"] * 2
    assert (paid(), told(shipped), told(unexpected)) == ([], [], [short.out_trade_no])
    short.amount = 100
    short.save()
    assert [send(signed) for _ in range(2)] == ["confirmed", "duplicate"]
    assert paid() == told(shipped) == [number(part) for part in (1, 2, 3)]
    assert not Discrepancy.objects.filter(resolved_at=None).exists()


def test_one_unknown_sub_order_holds_all_until_it_is_recorded(send, shipped, combine, sub_order):
    expect(1, 3)
    signed = combine(*map(sub_order, (1, 2, 3)))
    assert send(signed) == "unknown_order"
    assert (paid(), told(shipped)) == ([], [])
    expect(2)
    assert [send(signed) for _ in range(2)] == ["confirmed", "duplicate"]
    assert paid() == sorted(told(shipped)) == [number(part) for part in (1, 2, 3)]


REFUSED_V2 = {
    "a sub order twice": (lambda: combined_v2(v2_part(1), v2_part(1)), "malformed"),
    "an order by two transactions": (
        lambda: combined_v2(v2_part(1), v2_part(1, transaction_id=transaction(2))),
        "malformed",
    ),
    "a transaction for two orders": (
        lambda: combined_v2(v2_part(1), v2_part(2, transaction_id=transaction(1))),
        "malformed",
    ),
    "51 sub orders": (lambda: combined_v2(*map(v2_part, range(51))), "malformed"),
    "none": (combined_v2, "malformed"),
    "a foreign initiator": (lambda: combined_v2(v2_part(1), combine_mch_id="1900000999"), "wrong_merchant"),
    "no initiator": (lambda: combined_v2(v2_part(1), combine_mch_id="", mch_id=PLATFORM.mchid), "malformed"),
    "a foreign sub order": (lambda: combined_v2(v2_part(1), v2_part(2, mch_id="1900000999")), "unknown_order"),
}


@pytest.mark.parametrize(("make", "outcome"), cases(REFUSED_V2))
def test_a_v2_notice_that_is_wrong_in_one_place_confirms_nothing(send, shipped, make, outcome):
    """Of v3 in tests/attacks/test_facts.py."""
    expect(1, 2)
    assert send(make()) == outcome
    assert (paid(), told(shipped)) == ([], [])


def test_a_sub_order_that_was_confirmed_before_is_not_told_again(send, shipped, combine, sub_order):
    expect(1, 2, 3)
    query = PLATFORM.payment_resource(number(2), 100, transaction_id=transaction(2))
    assert confirm_payment(payment_from_v3(query)) == "confirmed"
    assert [send(combine(*map(sub_order, (1, 2, 3)))) for _ in range(2)] == ["confirmed", "duplicate"]
    assert sorted(told(shipped)) == paid() == [number(part) for part in (1, 2, 3)]


def close(order):
    assert Order.objects.close(order)


def pay_otherwise(order):
    query = PLATFORM.payment_resource(order.out_trade_no, 100)
    assert confirm_payment(payment_from_v3(query)) == "confirmed"


@pytest.mark.parametrize(("spoil", "reason"), [(close, "order_closed"), (pay_otherwise, "already_paid")])
def test_a_sub_order_that_must_not_be_fulfilled_does_not_hold_the_others(
    send, shipped, unexpected, combine, sub_order, spoil, reason
):
    _, spoilt, _ = expect(1, 2, 3)
    spoil(spoilt)
    shipped.calls.clear()
    assert [send(combine(*map(sub_order, (1, 2, 3)))) for _ in range(2)] == ["unexpected", "duplicate"]
    assert told(shipped) == [number(1), number(3)]
    assert [(call["order"], call["reason"]) for call in unexpected.calls] == [(spoilt, reason)]
    assert paid() == [number(part) for part in (1, 2, 3)]


def test_two_sub_orders_of_one_sale_are_fulfilled_once(send, shipped, unexpected, combine, sub_order):
    expect(1, 2, reference="sale-1")
    assert send(combine(*map(sub_order, (1, 2)))) == "unexpected"
    assert (told(shipped), told(unexpected)) == ([number(1)], [number(2)])
    assert paid() == [number(1), number(2)]


def test_only_the_sub_order_whose_receiver_failed_is_told_again(send, shipped, combine, sub_order):
    expect(1, 2, 3)
    attempts = []

    def fail_once(order, **kwargs):
        attempts.append(order.out_trade_no)
        if order.out_trade_no == number(2) and attempts.count(number(2)) == 1:
            raise RuntimeError("no paper")

    shipped.before = fail_once
    signed = combine(*map(sub_order, (1, 2, 3)))
    assert [send(signed) for _ in range(3)] == ["receiver_failed", "confirmed", "duplicate"]
    assert attempts == [number(part) for part in (1, 2, 3, 2)]
    assert set(SignalDelivery.objects.values_list("status", flat=True)) == {"done"}


def test_a_combined_order_that_failed_fails_each_sub_order(send, shipped, connect):
    failed = connect(payment_failed)
    expect(1, 2)
    signed = combined_v3(v3_part(1, state="PAYERROR"), v3_part(2, state="PAYERROR"))
    assert [send(signed) for _ in range(2)] == ["payment_failed", "duplicate"]
    assert told(failed) == [number(1), number(2)]
    assert (paid(), told(shipped)) == ([], [])


def partner_part(part, sub_mchid, **fields):
    return v3_part(part, sub_mchid=sub_mchid, sub_openid=f"o-{sub_mchid}", **fields)


@pytest.mark.parametrize(
    ("sub_mchids", "outcome"), [(None, "confirmed"), ([SUB, "1900000202"], "confirmed"), ([SUB], "wrong_merchant")]
)
def test_a_partners_sub_orders_are_their_sub_merchants(send, shipped, settings, sub_mchids, outcome):
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": PLATFORM.merchant(SUB_MCHIDS=sub_mchids)}}
    ours = [*expect(1, sub_mchid=SUB), *expect(1, sub_mchid="1900000202")]
    parts = [partner_part(1, SUB), partner_part(1, "1900000202", transaction_id=transaction(2))]
    assert send(combined_v3(*parts)) == outcome
    assert [call["order"] for call in shipped.calls] == (ours if outcome == "confirmed" else [])
    if outcome == "confirmed":
        assert [call["order"].sub_openid for call in shipped.calls] == [f"o-{SUB}", "o-1900000202"]


def test_the_orders_are_taken_in_one_sequence_whatever_the_notifications(
    send, shipped, monkeypatch, combine, sub_order
):
    """So that two that name the same orders the other way round cannot wait for each other (tests/races)."""
    orders, settled = expect(2, 3, 1), []
    verbs = type(Order.objects.all())
    settle = verbs.settle

    def remember(self, order, *args, **kwargs):
        settled.append(order.pk)
        return settle(self, order, *args, **kwargs)

    monkeypatch.setattr(verbs, "settle", remember)
    assert send(combine(*map(sub_order, (1, 3, 2)))) == "confirmed"
    assert settled == [order.pk for order in orders]


@pytest.mark.django_db(transaction=True)
def test_ten_sub_orders_are_one_commit_before_any_receiver_and_take_no_more_statements_than_ten_payments(
    client, send, shipped, combine, sub_order
):
    Order.objects.expect(out_trade_no="A-1", amount=100)
    with CaptureQueriesContext(connection) as single:
        PLATFORM.payment_v3("A-1", 100).post(client, "/wechatpay/notify/")
    expect(*range(10))
    seen = []
    shipped.before = lambda **_: seen.append(len(captured))
    with CaptureQueriesContext(connection) as captured:
        assert send(combine(*map(sub_order, range(10)))) == "confirmed"
    before = [query["sql"].split()[0] for query in captured.captured_queries[: seen[0]]]
    assert before.count("COMMIT") == 1
    fact = before[before.index("BEGIN") : before.index("COMMIT")]
    assert fact == ["BEGIN", *["UPDATE"] * 10, "INSERT", "INSERT"]
    assert len(statements(captured)) <= 10 * len(statements(single))
