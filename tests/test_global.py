"""Global merchants: other currencies, each in its own minor unit, and (in v3) `id` in place of transaction_id."""

import pytest

from tests.answers import outcome
from tests.settings import PLATFORM
from wechatpay_notify.models import Order

pytestmark = pytest.mark.django_db

TRANSACTION = "4200000001202611220000000001"


def paid_v3(amount, currency, **fields):
    resource = PLATFORM.payment_resource("G-1", amount) | fields
    del resource["transaction_id"]
    paid = {"total": amount, "currency": currency, "payer_total": 4870, "payer_currency": "CNY"}
    rate = {"exchange_rate": {"type": "SETTLEMENT_RATE", "rate": 4870000}}
    return PLATFORM.v3("TRANSACTION.SUCCESS", resource | {"id": TRANSACTION, "amount": paid | rate})


def paid_v2(amount, currency):
    fields = {"fee_type": currency, "cash_fee": "4870", "cash_fee_type": "CNY", "rate_value": "4870000"}
    return PLATFORM.payment_v2("G-1", amount, transaction_id=TRANSACTION, sign_type="HMAC-SHA256", **fields)


@pytest.fixture(params=[paid_v3, paid_v2], ids=["v3", "v2"])
def pay(request):
    return request.param


@pytest.mark.parametrize(("amount", "currency"), [(1000, "JPY"), (9500, "KRW"), (5288, "HKD")])
def test_an_order_is_compared_in_its_own_currency_and_never_converted(client, shipped, pay, amount, currency):
    order = Order.objects.expect(out_trade_no="G-1", amount=amount, currency=currency)
    assert outcome(client, pay(amount, currency)) == "confirmed"
    assert outcome(client, pay(amount, currency)) == "duplicate"
    order.refresh_from_db()
    assert (order.status, order.transaction_id, order.payer_total) == ("paid", TRANSACTION, 4870)
    (call,) = shipped.calls
    assert (call["payment"].currency, call["payment"].payer_currency) == (currency, "CNY")


@pytest.mark.parametrize(("amount", "currency"), [(1000, "KRW"), (1000, "CNY"), (100_000, "JPY"), (4870, "CNY")])
def test_another_currency_or_what_the_payer_was_charged_does_not_pay_it(client, shipped, pay, amount, currency):
    Order.objects.expect(out_trade_no="G-1", amount=1000, currency="JPY")
    assert outcome(client, pay(amount, currency)) == "amount_mismatch"
    assert not shipped.calls


def test_an_institutions_payment_is_its_sub_merchants(client, shipped):
    Order.objects.expect(out_trade_no="G-1", amount=1000, currency="JPY", sub_mchid="1900000201")
    identity = {"sp_mchid": PLATFORM.mchid, "sp_appid": PLATFORM.appid, "sub_mchid": "1900000201"}
    assert outcome(client, paid_v3(1000, "JPY", **identity)) == "confirmed"
    assert len(shipped.calls) == 1
