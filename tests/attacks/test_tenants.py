"""T22, T42, T96: one installation, two merchants; neither settles the other's orders with a key of its own."""

import json

import pytest

from tests.settings import PLATFORM
from wechatpay_notify import signals
from wechatpay_notify.conf import build_merchant
from wechatpay_notify.models import Discrepancy, NotificationLog, Order
from wechatpay_notify.testing import Platform

pytestmark = pytest.mark.django_db
OTHER = Platform(mchid="1900000110", appid="wx-other", serial="PUB_KEY_ID_0119000001100000000000000000")


@pytest.fixture
def tenants(settings):
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": PLATFORM.merchant(), "other": OTHER.merchant()}}


@pytest.fixture(params=["listed", "provided"])
def tenants_anyhow(request, settings):
    """The two merchants, in the setting or from the host's own provider."""
    listed = {"default": PLATFORM.merchant(), "other": OTHER.merchant()}
    provided = {alias: build_merchant(alias, **merchant) for alias, merchant in listed.items()}
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": listed if request.param == "listed" else provided.get}


def combined_v2(out_trade_no, *, mchid, combine_out_trade_no="C-1", **changed):
    part = {"mch_id": mchid, "appid": PLATFORM.appid, "out_trade_no": out_trade_no, "total_fee": 100}
    fields = {
        "return_code": "SUCCESS",
        "result_code": "SUCCESS",
        "combine_appid": OTHER.appid,
        "combine_mch_id": OTHER.mchid,
        "combine_out_trade_no": combine_out_trade_no,
        "sub_order_list": json.dumps({"order_list": [part | {"transaction_id": "4200000001202611220000000001"}]}),
    }
    return OTHER.v2(fields | changed, sign_type="HMAC-SHA256")


@pytest.mark.parametrize("recorded", ["", "C-0", "C-1"])
def test_a_merchants_own_v2_key_does_not_confirm_another_merchants_order(client, tenants_anyhow, shipped, recorded):
    numbers = {"mchid": PLATFORM.mchid, "out_trade_no": "A-1", "combine_out_trade_no": recorded}
    order = Order.objects.expect(amount=100, **numbers)
    response = combined_v2("A-1", mchid=PLATFORM.mchid).post(client, "/wechatpay/v2/other/")
    assert b"FAIL" in response.content
    assert NotificationLog.objects.get().outcome == "wrong_merchant"
    order.refresh_from_db()
    assert order.status == "pending"
    assert not shipped.calls


@pytest.mark.parametrize("mchid", [PLATFORM.mchid, "1900000300"])
def test_nor_does_it_tell_that_the_payment_of_such_an_order_failed(client, tenants_anyhow, connect, mchid):
    failed = connect(signals.payment_failed)
    Order.objects.expect(out_trade_no="A-1", amount=100, mchid=mchid, combine_out_trade_no="C-0")
    combined_v2("A-1", mchid=mchid, result_code="FAIL").post(client, "/wechatpay/v2/other/")
    assert NotificationLog.objects.get().outcome == "wrong_merchant"
    assert not failed.calls


def test_a_payment_of_ones_own_order_does_not_silence_what_another_merchant_is_to_be_told(
    client, tenants, shipped, unexpected
):
    """Both merchants use the order number; who holds a v2 key can sign any transaction to it."""
    Order.objects.expect(out_trade_no="A-1", amount=101)
    Order.objects.expect(out_trade_no="A-1", amount=100, mchid=OTHER.mchid)
    unexpected.failures = [OSError("not now")]
    numbers = {"transaction_id": "4200000001202611220000000001"}
    assert PLATFORM.payment_v3("A-1", 100, **numbers).post(client, "/wechatpay/v3/").status_code == 409
    OTHER.payment_v2("A-1", 100, **numbers).post(client, "/wechatpay/v2/other/")
    assert NotificationLog.objects.latest("pk").outcome == "confirmed"
    assert Discrepancy.objects.get().resolved_at is None
    PLATFORM.payment_v3("A-1", 100, **numbers).post(client, "/wechatpay/v3/")
    assert [call["payment"].mchid for call in unexpected.calls] == [PLATFORM.mchid] * 2
    assert Discrepancy.objects.get().resolved_at is None


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
