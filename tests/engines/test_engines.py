"""Wake-ups of real engines: the ledger's row is the truth, whatever becomes of a message, a worker or the broker."""

import socket
import time
from statistics import median

import pytest
from django.core.management import call_command

from tests.races.configurations import CONFIGURATIONS
from tests.races.wechat import Notice, Staff, Tally, WeChat
from tests.settings import PLATFORM
from wechatpay_notify.models import Order

from .engine import ENGINES, at_work

pytestmark = pytest.mark.engines

FULFILLED = {"ship": 1, "invoice": 1}
SECONDS = 30
"""For whatever a worker does. Never slept through, only waited for."""


@pytest.fixture(scope="module", params=ENGINES)
def engine(request):
    return ENGINES[request.param]


@pytest.fixture(scope="module", params=["sqlite_immediate", "postgresql_read_committed"])
def shop(request, engine):
    with engine.shop(CONFIGURATIONS[request.param]) as shop:
        yield shop


@pytest.fixture
def staff(shop):
    return Staff(Tally(shop))


@pytest.fixture
def wechat(staff):
    return WeChat(staff.tally)


@pytest.fixture
def paid(staff, wechat):
    """Have an order paid, whose first word says how the receiver behaves; returns its number."""

    def paid(plan):
        number = staff.order(plan)
        (answer,) = wechat.insist(Notice(number))
        assert answer.success
        return number

    return paid


@pytest.fixture
def done(staff):
    """Wait until both receivers of each order are done; returns what is on record."""

    def done(*numbers):
        until = time.monotonic() + SECONDS
        while (found := staff.report(*numbers)) and any(one["deliveries"] != {"done": 2} for one in found):
            assert time.monotonic() < until, (found, staff.shop.log.with_name("worker.log").read_text())
            time.sleep(0.05)
        return staff.report(*numbers)  # again: a report is no snapshot

    return done


def test_the_worker_runs_what_the_request_left_and_messages_for_nothing_do_nothing(engine, shop, staff, paid, done):
    number = paid("ships")
    staff._post("wake", 5)
    (about,) = staff.report(number)
    assert (about["status"], about["effects"]) == ("paid", {}), "nothing runs in the request"
    with at_work(shop, engine.worker):
        done(number)
        staff._post("wake", 5)
        found = done(number, paid("ships"))
    assert [one["effects"] for one in found] == [FULFILLED] * 2
    assert [one["calls"] for one in found] == [FULFILLED] * 2


@pytest.mark.parametrize("found_by", ["the next message", "the sweeper"])
def test_a_worker_killed_inside_a_receiver_loses_and_doubles_nothing(engine, shop, staff, paid, done, found_by):
    with at_work(shop, engine.worker) as kill:
        numbers = [paid("waits")]
        staff.wait_for_call(numbers[0])
        kill()
    (about,) = staff.report(*numbers)
    assert (about["status"], about["effects"], about["deliveries"]) == ("paid", {}, {"pending": 2})
    staff.open_gate(numbers[0])
    assert staff._post("hurry", None) == {"hurried": 2}
    if found_by == "the next message":
        numbers.append(paid("ships"))
    with at_work(shop, engine.worker if found_by == "the next message" else engine.sweeper):
        about, *_ = found = done(*numbers)
    assert [one["effects"] for one in found] == [FULFILLED] * len(found)
    assert about["calls"] == {"ship": 2, "invoice": 1}


@pytest.fixture(params=["refused", "silent"])
def dead_broker(request):
    """The port of one where nobody listens, or where whoever does says nothing; and what it may cost, in seconds."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if request.param == "silent":
            yield port, 2
            return
    yield port, 0.25


@pytest.mark.parametrize("transport", ["redis", "amqp"])
@pytest.mark.django_db(transaction=True)
def test_a_dead_broker_neither_fails_nor_holds_up_the_notification(
    settings, client, shipped, capsys, caplog, transport, dead_broker
):
    from celery import Celery, current_app

    port, most = dead_broker
    before, app = current_app._get_current_object(), Celery("shop", broker=f"{transport}://127.0.0.1:{port}")

    def seconds(delivery):
        settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"DELIVERY": delivery}
        return median(_pay(client, f"{delivery[-4:]}-{number}") for number in range(7))

    app.set_current()
    try:
        plain = seconds("deferred")
        added = seconds("wechatpay_notify.contrib.celery.wake") - plain
    finally:
        before.set_current()
    with capsys.disabled():
        print(f"\n{transport}, nobody answers at {port}: {added * 1000:.1f} ms added to {plain * 1000:.1f}")
    assert added < most
    assert len([record for record in caplog.records if "on_commit" in record.getMessage()]) == 7
    assert not shipped.calls
    call_command("wechatpay_deliver", "--once")
    assert len(shipped.calls) == 14


def _pay(client, number):
    Order.objects.expect(out_trade_no=number, amount=100)
    signed, started = PLATFORM.payment_v3(number, 100), time.perf_counter()
    assert signed.post(client, "/wechatpay/notify/").status_code == 200
    return time.perf_counter() - started
