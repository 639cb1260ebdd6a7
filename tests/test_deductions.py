"""Deductions: money taken without the payer at the till (parking, insurance), told under the types of payments."""

import pytest

from tests.answers import outcome
from tests.attacks import cases
from tests.settings import PLATFORM
from wechatpay_notify.models import Order
from wechatpay_notify.signals import notification_received, payment_failed
from wechatpay_notify.testing import OPENID

pytestmark = pytest.mark.django_db

NUMBER, TRANSACTION = "PARK-2026-0001", "4200000001202611220000000001"
SUB = "1900000201"


def deduction(**fields):
    """What every deduction names; `trade_state_description` where payments have `trade_state_desc`."""
    return {
        "appid": PLATFORM.appid,
        "out_trade_no": NUMBER,
        "transaction_id": TRANSACTION,
        "create_time": "2026-11-22T09:59:00+08:00",
        "success_time": "2026-11-22T10:00:00+08:00",
        "trade_state": "SUCCESS",
        "trade_state_description": "支付成功",
        "bank_type": "BPA",
        "attach": "",
        "payer": {"openid": OPENID},
        "amount": {"total": 888, "payer_total": 788, "discount_total": 100, "currency": "CNY"},
    } | fields


PARKED = {
    "parking_id": "5K8264ILTKCH16CQ250",
    "plate_number": "粤B888888",
    "plate_color": "BLUE",
    "start_time": "2026-11-22T08:00:00+08:00",
    "end_time": "2026-11-22T09:59:00+08:00",
    "parking_name": "湾畔停车场",
    "charging_duration": 7140,
    "device_id": "12313",
}
PARKING = {"description": "停车费", "user_repaid": "N", "trade_scene": "PARKING", "parking_info": PARKED}
DEDUCTIONS = {
    # Parking calls the merchant sp_mchid, direct or not, and its app appid (official SDKs: sub_mchid is optional).
    "parking, direct": deduction(**PARKING, sp_mchid=PLATFORM.mchid),
    "parking, partner": deduction(**PARKING, sp_mchid=PLATFORM.mchid, sub_mchid=SUB, sub_appid="wx0000000000000201"),
    "insurance, direct": deduction(mchid=PLATFORM.mchid, trade_type="PAP"),
    "insurance, direct, with empty fields": deduction(
        mchid=PLATFORM.mchid, trade_type="PAP", sp_mchid="", sp_appid="", sub_mchid="", sub_appid=""
    ),
    "insurance, partner": deduction(
        sp_mchid=PLATFORM.mchid, sp_appid=PLATFORM.appid, sub_mchid=SUB, trade_type="PAP", payer={"sp_openid": OPENID}
    ),
}


@pytest.fixture(params=cases(DEDUCTIONS))
def resource(request):
    return request.param


@pytest.fixture
def order(resource):
    return Order.objects.expect(out_trade_no=NUMBER, amount=888, sub_mchid=resource.get("sub_mchid", ""))


def send(client, event_type, resource):
    return outcome(client, PLATFORM.v3(event_type, resource))


def test_a_deduction_confirms_its_order(client, shipped, order, resource, settings):
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": PLATFORM.merchant(APPIDS=[PLATFORM.appid])}}
    assert send(client, "TRANSACTION.SUCCESS", resource) == "confirmed"
    assert send(client, "TRANSACTION.SUCCESS", resource) == "duplicate"
    order.refresh_from_db()
    assert (order.status, order.transaction_id, order.payer_total) == ("paid", TRANSACTION, 788)
    assert (order.openid, order.trade_type) == (OPENID, resource.get("trade_type", ""))
    assert len(shipped.calls) == 1


def test_a_deduction_that_failed_leaves_the_order_pending(client, shipped, connect, order, resource):
    failed = connect(payment_failed)
    declined = resource | {"trade_state": "PAY_FAIL", "trade_state_description": "余额不足"}
    assert send(client, "TRANSACTION.FAIL", declined) == "payment_failed"
    assert send(client, "TRANSACTION.FAIL", declined) == "duplicate"
    assert send(client, "TRANSACTION.SUCCESS", resource) == "confirmed"
    assert len(failed.calls) == len(shipped.calls) == 1


@pytest.mark.parametrize("state", ["ACCEPT", "ACCEPTED", "REFUND"])
def test_a_deduction_in_between_confirms_nothing(client, shipped, order, resource, state):
    assert send(client, "TRANSACTION.SUCCESS", resource | {"trade_state": state}) == "received"
    order.refresh_from_db()
    assert order.status == "pending"


def test_another_merchants_deduction_is_refused(client, shipped, order, resource):
    stranger = resource | {"mchid" if "mchid" in resource else "sp_mchid": "1900009999"}
    assert send(client, "TRANSACTION.SUCCESS", stranger) == "wrong_merchant"


def test_a_sub_merchants_deduction_does_not_pay_the_providers_own_order(client, shipped):
    Order.objects.expect(out_trade_no=NUMBER, amount=888)
    assert send(client, "TRANSACTION.SUCCESS", DEDUCTIONS["parking, partner"]) == "unknown_order"


def test_an_advance_that_the_user_repays_is_news_and_no_second_payment(client, shipped, connect, order, resource):
    heard = connect(notification_received)
    send(client, "TRANSACTION.SUCCESS", resource)
    assert send(client, "TRANSACTION.PAY_BACK", resource | {"user_repaid": "Y"}) == "received"
    assert [call["event_type"] for call in heard.calls] == ["TRANSACTION.PAY_BACK"]
    assert len(shipped.calls) == 1
