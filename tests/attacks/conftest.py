"""What every attack is measured by: the order that waits, the shop that listens, the row that is kept."""

import pytest

from tests.answers import answer
from tests.attacks import NOTIFY, NUMBER
from tests.settings import PLATFORM
from wechatpay_notify import signals
from wechatpay_notify.models import NotificationLog, Order


@pytest.fixture
def order(db):
    return Order.objects.expect(out_trade_no=NUMBER, amount=100)


@pytest.fixture
def attack(client, order, shipped, connect):
    """Post something hostile: the answer is exactly the outcome's, nothing is confirmed, the row says the outcome."""
    failed = connect(signals.payment_failed)

    def post(signed, outcome, *, version="v3", path=NOTIFY, **extra):
        before, stored = list(Order.objects.order_by("pk").values()), NotificationLog.objects.count()
        response = signed.post(client, path, **extra)
        row = NotificationLog.objects.latest("pk")
        assert row.outcome == outcome
        assert (response.status_code, response.content) == answer(version, outcome)
        assert (row.http_status, row.api_version) == (response.status_code, version)
        assert NotificationLog.objects.count() == stored + 1
        assert not shipped.calls
        assert not failed.calls
        assert list(Order.objects.order_by("pk").values()) == before
        return row

    return post


@pytest.fixture
def accept(client, order, shipped):
    """Post something odd but genuine: the order is paid and the shop told once."""

    def post(signed, path=NOTIFY, **extra):
        told = len(shipped.calls)
        response = signed.post(client, path, **extra)
        row = NotificationLog.objects.latest("pk")
        assert row.outcome == "confirmed"
        assert (response.status_code, b"SUCCESS" in response.content) == (200, True)
        order.refresh_from_db()
        assert order.status == "paid"
        assert len(shipped.calls) == told + 1
        return row

    return post


@pytest.fixture
def configure(settings):
    """Change the merchant `default`."""

    def change(**merchant):
        settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": PLATFORM.merchant(**merchant)}}

    return change
