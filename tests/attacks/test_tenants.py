"""T22, T42, T96: one installation, two merchants; neither settles the other's orders with a key of its own."""

import json

import pytest

from tests.settings import PLATFORM
from wechatpay_notify.models import NotificationLog, Order
from wechatpay_notify.testing import Platform

pytestmark = pytest.mark.django_db
OTHER = Platform(mchid="1900000110", appid="wx-other", serial="PUB_KEY_ID_0119000001100000000000000000")


@pytest.fixture
def tenants(settings):
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": PLATFORM.merchant(), "other": OTHER.merchant()}}


def combined_v2(out_trade_no, *, mchid, combine_out_trade_no="C-1"):
    part = {"mch_id": mchid, "appid": PLATFORM.appid, "out_trade_no": out_trade_no, "total_fee": 100}
    fields = {
        "return_code": "SUCCESS",
        "result_code": "SUCCESS",
        "combine_appid": OTHER.appid,
        "combine_mch_id": OTHER.mchid,
        "combine_out_trade_no": combine_out_trade_no,
        "sub_order_list": json.dumps({"order_list": [part | {"transaction_id": "4200000001202611220000000001"}]}),
    }
    return OTHER.v2(fields, sign_type="HMAC-SHA256")


@pytest.mark.parametrize("recorded", ["", "C-0", "C-1"])
def test_a_merchants_own_v2_key_does_not_confirm_another_merchants_order(client, tenants, shipped, recorded):
    order = Order.objects.expect(out_trade_no="A-1", amount=100, combine_out_trade_no=recorded)
    response = combined_v2("A-1", mchid=PLATFORM.mchid).post(client, "/wechatpay/v2/other/")
    assert b"FAIL" in response.content
    assert NotificationLog.objects.get().outcome == "wrong_merchant"
    order.refresh_from_db()
    assert order.status == "pending"
    assert not shipped.calls


@pytest.mark.parametrize(("recorded", "status"), [("C-1", "paid"), ("", "pending")])
def test_a_sub_merchants_order_is_confirmed_only_as_part_of_its_combined_order(
    client, tenants, shipped, recorded, status
):
    order = Order.objects.expect(out_trade_no="S-1", amount=100, mchid="1900000300", combine_out_trade_no=recorded)
    combined_v2("S-1", mchid="1900000300").post(client, "/wechatpay/v2/other/")
    order.refresh_from_db()
    assert order.status == status


def test_a_resolver_is_not_asked_for_another_merchants_sub_order(client, tenants, shipped, settings):
    asked = []
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"ORDER_RESOLVER": asked.append}
    combined_v2("S-1", mchid="1900000300").post(client, "/wechatpay/v2/other/")
    assert not asked
