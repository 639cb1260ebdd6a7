"""Who may be told, under which name, and that a name lasts."""

import gc

import pytest

from tests.settings import PLATFORM
from wechatpay_notify.models import NotificationLog, Order, SignalDelivery
from wechatpay_notify.signals import LedgerSignal, payment_confirmed

pytestmark = pytest.mark.django_db


def ship(**kwargs):
    """A module-level receiver."""


async def ship_async(**kwargs):
    SHIPPED_ASYNC.append((await Order.objects.aget(pk=kwargs["order"].pk)).status)


SHIPPED_ASYNC = []


class Warehouse:
    def __init__(self):
        self.shipped = []

    def ship(self, **kwargs):
        self.shipped.append(kwargs["order"].out_trade_no)


@pytest.fixture
def signal():
    return LedgerSignal("test")


@pytest.fixture
def confirmed():
    """payment_confirmed, whatever the test connects to it taken off again."""
    before = dict(payment_confirmed._connections)
    SHIPPED_ASYNC.clear()
    yield payment_confirmed
    for name in set(payment_confirmed._connections) - set(before):
        receiver = payment_confirmed._live(name)
        payment_confirmed.disconnect(receiver)
        payment_confirmed.disconnect(dispatch_uid=name)


def test_a_receiver_is_known_by_module_and_qualname_or_dispatch_uid(signal):
    signal.connect(ship)
    signal.connect(ship_async, dispatch_uid="shop.ship")
    assert signal.names(Order) == ["tests.test_signals.ship", "shop.ship"]


def test_lambdas_and_local_functions_are_refused_without_a_name(signal):
    def local(**kwargs): ...

    for nameless in (local, lambda **_: None):
        with pytest.raises(ValueError, match="dispatch_uid"):
            signal.connect(nameless)
        signal.connect(nameless, dispatch_uid=f"named {id(nameless)}")


def test_a_name_clash_is_refused_and_connecting_twice_is_not(signal):
    signal.connect(ship)
    signal.connect(ship)
    with pytest.raises(ValueError, match="connected to test already"):
        signal.connect(ship_async, dispatch_uid="tests.test_signals.ship")
    assert signal.names(Order) == ["tests.test_signals.ship"]


def test_one_receiver_for_two_senders_needs_two_names(signal):
    signal.connect(ship, sender=Order)
    with pytest.raises(ValueError, match="connected to test already"):
        signal.connect(ship, sender=NotificationLog)
    signal.connect(ship, sender=NotificationLog, dispatch_uid="shop.log")
    assert signal.names(Order) == ["tests.test_signals.ship"]
    assert signal.names(NotificationLog) == ["shop.log"]


def test_a_disconnected_receiver_is_no_longer_named(signal):
    signal.connect(ship)
    signal.connect(ship_async, dispatch_uid="shop.ship")
    assert signal.disconnect(ship)
    assert signal.disconnect(dispatch_uid="shop.ship")
    assert signal.names(Order) == []


def test_a_receiver_that_was_not_disconnected_stays_known(client, confirmed):
    confirmed.connect(ship_async, sender=Order)
    assert not confirmed.disconnect(ship_async)
    assert not confirmed.disconnect(ship_async, sender=NotificationLog)
    Order.objects.expect(out_trade_no="A-1", amount=100)
    assert PLATFORM.payment_v3("A-1", 100).post(client, "/wechatpay/notify/").status_code == 200
    assert SHIPPED_ASYNC == ["paid"]
    assert confirmed.disconnect(ship_async, sender=Order)
    assert confirmed.names(Order) == []


def test_a_name_that_no_column_holds_is_refused(signal):
    for uid in ("", "x" * 256):
        with pytest.raises(ValueError, match="dispatch_uid"):
            signal.connect(ship, dispatch_uid=uid)


def test_a_weak_receiver_that_died_is_gone_and_its_name_free(signal):
    warehouse = Warehouse()
    signal.connect(warehouse.ship)
    assert signal.names(Order) == ["tests.test_signals.Warehouse.ship"]
    del warehouse
    gc.collect()
    assert signal.names(Order) == []
    signal.connect(Warehouse().ship, weak=False)
    assert signal.names(Order) == ["tests.test_signals.Warehouse.ship"]


def test_a_sender_filter_is_honoured(signal):
    signal.connect(ship, sender=Order)
    signal.connect(ship_async, sender=NotificationLog)
    assert signal.names(Order) == ["tests.test_signals.ship"]


def test_bound_methods_and_async_functions_are_run(client, confirmed):
    warehouse = Warehouse()
    confirmed.connect(warehouse.ship)
    confirmed.connect(ship_async)
    Order.objects.expect(out_trade_no="A-1", amount=100)
    assert PLATFORM.payment_v3("A-1", 100).post(client, "/wechatpay/notify/").status_code == 200
    assert warehouse.shipped == ["A-1"]
    assert SHIPPED_ASYNC == ["paid"]
    assert SignalDelivery.objects.filter(status="done").count() == 2


def test_a_receiver_of_another_sender_is_not_run(client, confirmed, shipped):
    confirmed.connect(ship, sender=NotificationLog)
    Order.objects.expect(out_trade_no="A-1", amount=100)
    assert PLATFORM.payment_v3("A-1", 100).post(client, "/wechatpay/notify/").status_code == 200
    assert [row.receiver for row in SignalDelivery.objects.all()] == ["shop.ship"]
