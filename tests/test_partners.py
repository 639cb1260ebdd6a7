"""Service providers: one URL for all sub-merchants, and each order is its sub-merchant's."""

import pytest

from tests.answers import outcome
from tests.settings import PLATFORM
from wechatpay_notify.models import Order
from wechatpay_notify.testing import OPENID

pytestmark = pytest.mark.django_db

FIRST, SECOND, FOREIGN = "1900000201", "1900000202", "1900000299"


@pytest.fixture(autouse=True)
def provider(settings):
    merchant = PLATFORM.merchant(APPIDS=[PLATFORM.appid], SUB_MCHIDS=[FIRST, SECOND])
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": merchant}}


def paid_v3(number, amount, sub_mchid, *, transaction_id="", **fields):
    """A v3 payment to a sub-merchant that was ordered without an app of the sub-merchant's own."""
    resource = PLATFORM.payment_resource(number, amount, transaction_id=transaction_id, payer={"sp_openid": OPENID})
    identity = {"sp_mchid": resource.pop("mchid"), "sp_appid": resource.pop("appid"), "sub_mchid": sub_mchid}
    return PLATFORM.v3("TRANSACTION.SUCCESS", resource | identity | fields)


def paid_v2(number, amount, sub_mchid, **fields):
    return PLATFORM.payment_v2(number, amount, sub_mch_id=sub_mchid, **fields)


@pytest.fixture(params=[paid_v3, paid_v2], ids=["v3", "v2"])
def pay(request):
    return request.param


def test_without_an_app_of_the_sub_merchants_its_order_is_paid_by_the_providers(client, shipped, pay):
    order = Order.objects.expect(out_trade_no="P-1", amount=100, sub_mchid=FIRST)
    assert outcome(client, pay("P-1", 100, FIRST)) == "confirmed"
    order.refresh_from_db()
    assert (order.status, order.openid, order.sub_openid, order.sub_appid) == ("paid", OPENID, "", "")
    assert shipped.calls[0]["payment"].sub_mchid == FIRST


@pytest.mark.parametrize(
    ("pay", "fields"),
    [(paid_v3, {"payer": {"sp_openid": OPENID, "sub_openid": "o-sub"}}), (paid_v2, {"sub_openid": "o-sub"})],
    ids=["v3", "v2"],
)
def test_with_an_app_of_the_sub_merchants_the_payer_is_known_in_both(client, shipped, pay, fields):
    order = Order.objects.expect(out_trade_no="P-1", amount=100, sub_mchid=FIRST, sub_appid="wx-sub")
    assert outcome(client, pay("P-1", 100, FIRST, sub_appid="wx-sub", **fields)) == "confirmed"
    order.refresh_from_db()
    assert (order.openid, order.sub_openid) == (OPENID, "o-sub")


def test_one_number_under_two_sub_merchants_is_two_orders(client, shipped, pay):
    orders = [Order.objects.expect(out_trade_no="P-1", amount=100, sub_mchid=sub) for sub in (FIRST, SECOND)]
    assert outcome(client, pay("P-1", 100, SECOND, transaction_id="4200002")) == "confirmed"
    assert outcome(client, pay("P-1", 100, FIRST, transaction_id="4200001")) == "confirmed"
    assert outcome(client, pay("P-1", 100, SECOND, transaction_id="4200002")) == "duplicate"
    assert [call["order"] for call in shipped.calls] == orders[::-1]
    assert [Order.objects.get(pk=order.pk).transaction_id for order in orders] == ["4200001", "4200002"]


def test_one_reference_under_two_sub_merchants_is_two_sales(client, shipped, pay):
    for sub in (FIRST, SECOND):
        Order.objects.expect(out_trade_no="P-1", amount=100, sub_mchid=sub, reference="sale-1")
        assert outcome(client, pay("P-1", 100, sub)) == "confirmed"
    assert len(shipped.calls) == 2


def test_a_sub_merchant_we_do_not_serve_is_refused_though_it_has_an_order(client, shipped, pay):
    Order.objects.expect(out_trade_no="P-1", amount=100, sub_mchid=FOREIGN)
    assert outcome(client, pay("P-1", 100, FOREIGN)) == "wrong_merchant"
    assert not shipped.calls


def test_the_amount_is_that_sub_merchants_orders(client, shipped, unexpected, pay):
    Order.objects.expect(out_trade_no="P-1", amount=100, sub_mchid=FIRST)
    Order.objects.expect(out_trade_no="P-1", amount=200, sub_mchid=SECOND)
    assert outcome(client, pay("P-1", 200, FIRST)) == "amount_mismatch"
    assert not shipped.calls
    assert [call["order"].sub_mchid for call in unexpected.calls] == [FIRST]
