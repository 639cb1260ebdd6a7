"""A payment, from the wire to the shop's receiver."""

import pytest

from tests.settings import PLATFORM
from wechatpay_notify.models import NotificationLog, Order, SignalDelivery
from wechatpay_notify.signals import payment_confirmed

pytestmark = pytest.mark.django_db


@pytest.fixture
def told():
    calls = []

    def receiver(**kwargs):
        calls.append(kwargs)

    payment_confirmed.connect(receiver, weak=False, dispatch_uid="told")
    yield calls
    payment_confirmed.disconnect(dispatch_uid="told")


@pytest.mark.parametrize("make", [PLATFORM.payment_v3, PLATFORM.payment_v2])
def test_a_payment_confirms_its_order_once(client, told, make, django_assert_num_queries):
    Order.objects.expect(out_trade_no="A-1", amount=100)
    signed = make("A-1", 100)
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(
        connection,
    ) as q:
        response = signed.post(client, "/wechatpay/notify/")
    for x in q:
        print(x["sql"][:150])
    print(response.status_code, response.content)
    assert response.status_code == 200
    with CaptureQueriesContext(
        connection,
    ) as q:
        again = signed.post(client, "/wechatpay/notify/")
    for x in q:
        print(x["sql"][:150])
    assert again.status_code == 200
    order = Order.objects.get()
    assert order.status == "paid"
    assert len(told) == 1
    assert [l.outcome for l in NotificationLog.objects.order_by("pk")] == ["confirmed", "duplicate"]
    assert SignalDelivery.objects.get().status == "done"
