"""A host with two databases and a router: facts, ledger and the receivers' work stay together in one of them."""

import pytest

from tests.settings import PLATFORM
from tests.shop.models import Shipment
from wechatpay_notify.models import NotificationLog, Order, SignalDelivery

ALIAS = "payments"


class Router:
    """Sends the app and the shop to a database of their own."""

    def db_for_read(self, model, **hints):
        return ALIAS if model._meta.app_label in ("wechatpay_notify", "shop") else None

    db_for_write = db_for_read


@pytest.mark.django_db(databases=["default", ALIAS])
@pytest.mark.parametrize("make", [PLATFORM.payment_v3, PLATFORM.payment_v2])
def test_a_payment_is_confirmed_once_on_the_routers_database(client, shipped, settings, make):
    settings.DATABASE_ROUTERS = [Router()]
    shipped.before = lambda order, **_: Shipment.objects.create(out_trade_no=order.out_trade_no, receiver="ship")
    shipped.failures = [RuntimeError("no paper")]
    order = Order.objects.expect(out_trade_no="A-1", amount=100)
    signed = make("A-1", 100)
    answers = [signed.post(client, f"/wechatpay/{'v3' if b'event' in signed.body else 'v2'}/") for _ in range(3)]
    assert [b"SUCCESS" in answer.content for answer in answers] == [False, True, True]
    assert order._state.db == ALIAS
    for model, count in ((Order, 1), (NotificationLog, 3), (SignalDelivery, 1), (Shipment, 1)):
        assert model.objects.using(ALIAS).count() == count
        assert model.objects.using("default").count() == 0
    assert Order.objects.get().status == "paid"
    assert SignalDelivery.objects.get().status == "done"
    assert client.get(f"/wechatpay/orders/{order.public_id}/").json()["status"] == "paid"
