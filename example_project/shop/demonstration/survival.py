"""The deferred demo: payments are answered at once, a worker packs the parcels, and it is killed while it packs one.

Never trusts the answer alone: what was packed is read from the shop's database.
"""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from shop.models import Product, Shipment
from shop.payments import place_order
from wechatpay_notify.models import SignalDelivery
from wechatpay_notify.testing import Platform, Signed

from .stage import Line, counted, send

PAYMENTS = 20
BEFORE_THE_KILL = 6
PATIENCE = 60
"""Seconds until a worker must have packed what it is waited for."""


def scenes(platform: Platform, url: str) -> Iterator[Line]:
    """The lines of the table, each as it is played."""
    signed = _payments(platform)
    yield _line(f"{PAYMENTS} payments, and no worker runs", _send_all(signed, url), packed(), 0)
    with _worker() as worker:
        _wait_until(lambda: packed() >= BEFORE_THE_KILL and _is_one_begun())
        worker.kill()
        worker.wait()
    before = packed()
    yield _line("a worker, killed while it packs one", Counter(), before, before if _is_one_begun() else -1)
    yield _line("5 of the payments, sent again", _send_all(signed[:5], url), packed(), before)
    with _worker() as worker:
        _wait_until(lambda: packed() >= PAYMENTS)
        worker.terminate()
        worker.wait(PATIENCE)
    orders = Shipment.objects.values("order").distinct().count()
    yield _line("another worker goes on", Counter(), packed(), PAYMENTS if orders == PAYMENTS else -1)


def packed() -> int:
    return Shipment.objects.count()


def _payments(platform: Platform) -> list[Signed]:
    product = Product.objects.order_by("pk")[0]
    Product.objects.filter(pk=product.pk).update(stock=PAYMENTS)  # one parcel too many would be one the shelf lacks
    orders = [place_order(product, 1) for _ in range(PAYMENTS)]
    return [platform.payment_v3(order.number, order.total_fen) for order in orders]


def _send_all(signed: list[Signed], url: str) -> Counter[str]:
    return Counter(send(one, url) for one in signed)


def _is_one_begun() -> bool:
    """Whether an attempt is on record that never ended: counted before the call, and still pending."""
    return SignalDelivery.objects.filter(status=SignalDelivery.Status.PENDING, attempts=1).exists()


def _wait_until(reached: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not reached() and time.monotonic() < give_up:
        time.sleep(0.02)


def _line(sent: str, answers: Counter[str], found: int, expected: int) -> Line:
    wrong = "" if found == expected and set(answers) <= {"200 SUCCESS"} else f"must be: {expected} parcels"
    return Line(sent, counted(answers), "", str(found), "", wrong)


@contextmanager
def _worker() -> Iterator[subprocess.Popen[bytes]]:
    manage = str(Path(settings.BASE_DIR) / "manage.py")
    with (Path(settings.DATA_DIR) / "worker.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, manage, "demo_worker", "--loop"], stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
