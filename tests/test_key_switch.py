"""The week in which WeChat goes over from the platform certificate to the WeChat Pay public key, played in full."""

import dataclasses
import math
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from tests.certificates import SERIAL, certificate
from tests.settings import PLATFORM
from wechatpay_notify.conf import conf
from wechatpay_notify.models import NotificationLog, Order, SignalDelivery
from wechatpay_notify.protocol.moments import BEIJING

pytestmark = pytest.mark.django_db

OLD = dataclasses.replace(PLATFORM, serial=SERIAL, private_key=generate_private_key(65537, 2048))
NEW = dataclasses.replace(PLATFORM, serial="PUB_KEY_ID_0114232134912410000000000000")
SHARES = {1: 0.1, 2: 1, 3: 5, 4: 10, 5: 20, 6: 50, 7: 100}
"""Per cent of a day's notifications that are signed with the public key (protocol, 2.3)."""
A_DAY = 20
BEGIN = datetime(2026, 11, 22, 9, tzinfo=BEIJING)


class Week:
    """The shop's directory of keys, and WeChat, which signs each attempt anew and with the key it likes."""

    def __init__(self, directory, client, clock):
        self.directory, self.client, self.clock = directory, client, clock
        self.now = BEGIN
        self.paid = []

    def go_on(self, **time):
        self.now += timedelta(**time)
        self.clock.move_to(self.now, tick=False)

    def put(self, name, text):
        (self.directory / name).write_text(text)

    def sell(self, number):
        self.paid.append(number)
        Order.objects.expect(out_trade_no=number, amount=100)

    def notify(self, platform, number):
        """One attempt to tell of this payment; what it came to."""
        platform.payment_v3(number, 100, transaction_id=f"42{number}", notification_id=f"N-{number}").post(
            self.client, "/wechatpay/notify/"
        )
        return NotificationLog.objects.latest("pk").outcome

    def play(self, day):
        """A day's payments, each told once; every tenth once more, in the other style."""
        new = math.ceil(A_DAY * SHARES[day] / 100)
        for index in range(A_DAY):
            number = f"day-{day}-{index}"
            style, other = (NEW, OLD) if index < new else (OLD, NEW)
            self.sell(number)
            self.go_on(seconds=15)
            assert self.notify(style, number) == "confirmed"
            if index % 10 == 0:
                self.go_on(seconds=15)
                assert self.notify(other, number) == "duplicate"


@pytest.fixture
def week(settings, tmp_path, client, time_machine):
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": PLATFORM.merchant(PLATFORM_KEYS=tmp_path)}}
    week = Week(tmp_path, client, time_machine)
    week.go_on()
    week.put(f"wechatpay_{SERIAL}.pem", certificate(OLD.private_key, valid_until=100))
    return week


def test_the_gradual_switch_loses_nothing_and_needs_no_restart(week, shipped):
    pem, whole = f"{NEW.serial}.pem", NEW.public_pem()
    week.sell("early")
    week.sell("before")
    assert week.notify(OLD, "before") == "confirmed"
    merchant = conf.merchants["default"].merchant

    # Day 1: the first notification in the new style comes before the shop has the key.
    assert week.notify(NEW, "early") == "unknown_serial"
    week.put(pem, whole[:200])
    week.go_on(seconds=15)
    assert week.notify(NEW, "early") == "unknown_serial"
    week.put(pem, whole)
    week.go_on(seconds=15)
    assert week.notify(NEW, "early") == "confirmed"
    week.play(1)

    week.go_on(days=1)
    week.play(2)

    # Day 3: somebody copies last year's certificates there, one of them under the serial in use.
    week.go_on(days=1)
    week.put("old.pem", certificate(PLATFORM.private_key, serial="5A" * 20, valid_until=-30))
    week.put("copy.pem", certificate(OLD.private_key, valid_until=-1))
    week.play(3)

    # Day 4: a deployment writes the key again and is cut off in the middle of it.
    week.go_on(days=1)
    week.put(pem, whole[:200])
    week.play(4)

    week.go_on(days=1)
    week.put(pem, whole)
    week.play(5)

    week.go_on(days=1)
    week.play(6)

    week.go_on(days=1)
    week.play(7)

    # Day 7: a payment whose order is recorded late. The retries go on for a day, in the style of the first attempt.
    assert week.notify(OLD, "late") == "unknown_order"
    week.go_on(hours=24)
    week.sell("late")
    assert week.notify(OLD, "late") == "confirmed"
    assert week.notify(OLD, "day-6-19") == "duplicate"

    # Day 10: the certificate has not been seen for days and goes; so does what is signed with it.
    week.go_on(days=3)
    for name in (f"wechatpay_{SERIAL}.pem", "copy.pem", "old.pem"):
        (week.directory / name).unlink()
    week.sell("after")
    assert week.notify(OLD, "after") == "unknown_serial"
    assert week.notify(NEW, "after") == "confirmed"

    assert conf.merchants["default"].merchant is merchant, "the settings were not read again"
    assert Order.objects.filter(status="paid").count() == len(week.paid) == 7 * A_DAY + 4
    assert sorted(call["order"].out_trade_no for call in shipped.calls) == sorted(week.paid)
    deliveries = SignalDelivery.objects.filter(signal="payment_confirmed")
    assert set(deliveries.values_list("status", "attempts")) == {("done", 1)}
