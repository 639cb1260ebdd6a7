"""The worker beside receivers that other processes have in hand; only where the database has locks of rows."""

import contextlib
import threading
import time

import pytest
from django.db import connection, transaction

from tests.settings import PLATFORM
from tests.test_worker import deliver, outcome, pay
from wechatpay_notify import signals
from wechatpay_notify.delivery import deliver_due, worker
from wechatpay_notify.delivery.again import deliver_again
from wechatpay_notify.models import Order, SignalDelivery

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def order(db):
    return Order.objects.expect(out_trade_no="A-1", amount=100)


@contextlib.contextmanager
def in_hand_elsewhere(rows, seconds=3):
    """Another process has the receivers of these rows in hand: no longer than that, so that a wait ends."""
    begun, end = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            list(rows.select_for_update())
            begun.set()
            end.wait(seconds)
        connection.close()

    process = threading.Thread(target=hold)
    process.start()
    assert begun.wait(5)
    try:
        yield
    finally:
        end.set()
        process.join()


def test_a_worker_looks_once_and_no_more_at_what_another_has_in_hand(
    client, deferred, order, shipped, django_assert_max_num_queries
):
    pay(client)
    stop = time.monotonic() + 2
    with in_hand_elsewhere(SignalDelivery.objects.all()), django_assert_max_num_queries(20):
        assert deliver_due(stop=lambda: time.monotonic() > stop) == {}
    assert deliver() == "1 done"


@pytest.mark.parametrize("force", [False, True])
def test_delivering_again_does_not_wait_for_what_another_has_in_hand(client, deferred, order, shipped, force):
    pay(client)
    (pk,) = SignalDelivery.objects.values_list("pk", flat=True)
    started = time.monotonic()
    with in_hand_elsewhere(SignalDelivery.objects.all()):
        assert deliver_again([pk], force=force) == {"gone": 1}
        assert time.monotonic() - started < 2
    assert deliver_again([pk], force=force) == {"done": 1}
    assert len(shipped.calls) == 1


def test_receivers_at_work_elsewhere_do_not_hide_what_is_due_behind_them(client, deferred, order, shipped, monkeypatch):
    monkeypatch.setattr(worker, "BATCH", 1)
    pay(client)
    first = SignalDelivery.objects.get()
    Order.objects.expect(out_trade_no="A-2", amount=100)
    outcome(client, PLATFORM.payment_v3("A-2", 100))
    with in_hand_elsewhere(SignalDelivery.objects.filter(pk=first.pk)):
        assert deliver() == "1 done"
    assert shipped.calls[0]["order"].out_trade_no == "A-2"


def test_two_workers_do_not_share_a_payment_so_its_receivers_keep_their_order(
    client, deferred, order, shipped, connect, monkeypatch
):
    monkeypatch.setattr(worker, "BATCH", 1)
    second = connect(signals.payment_confirmed, "shop.second")
    pay(client)
    meanwhile = []

    def another_worker(**kwargs):
        process = threading.Thread(target=lambda: (meanwhile.append(deliver_due()), connection.close()))
        process.start()
        process.join()

    shipped.before = another_worker
    assert deliver() == "2 done"
    assert (meanwhile, len(second.calls)) == ([{}], 1)


def test_a_worker_that_does_not_know_a_receiver_never_waits_for_one_that_does(
    client, deferred, order, shipped, monkeypatch
):
    pay(client)
    SignalDelivery.objects.update(receiver="shop.receivers.new")
    rows = worker._reserve("default")
    with in_hand_elsewhere(SignalDelivery.objects.all()):
        begun = time.monotonic()
        assert list(worker.run_reserved(rows, "default", lambda: False)) == ["gone"]
        assert time.monotonic() - begun < 1


def test_a_worker_that_is_stopped_never_waits_for_a_receiver(client, deferred, order, shipped):
    pay(client)
    rows = worker._reserve("default")
    with in_hand_elsewhere(SignalDelivery.objects.all()):
        begun = time.monotonic()
        assert list(worker.run_reserved(rows, "default", lambda: True)) == []
        assert time.monotonic() - begun < 1
