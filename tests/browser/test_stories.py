"""The demo's admin in Chromium, in English and in Chinese: somebody rings, and somebody mends what was refused.

The pictures in docs/_static/admin are made by these walks: WECHATPAY_SCREENSHOTS=docs/_static/admin.
"""

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys

import pytest
from django.utils import translation
from django.utils.translation import gettext

from wechatpay_notify.doctor.words import WORDS

from .test_shop import MANAGE
from .visitor import TWO_LOOKS

pytestmark = pytest.mark.browser

CATALOGUES = {"en": "en", "zh-CN": "zh-hans"}


class Demo:
    """The demo as its command leaves it: a shop, its admin, and what happened in it."""

    def __init__(self, directory, printed):
        self.site = re.search(r"^Shop +(http\S+?)/?\s", printed, re.MULTILINE)[1]
        self.password = re.search(r"password (\S+)", printed)[1]
        self._database = next(directory.glob("wechatpay-demo-*/db.sqlite3"))

    def newest(self, outcome):
        """The primary key and the order number of the newest notification with this outcome."""
        asked = "SELECT id, out_trade_no FROM wechatpay_notify_notificationlog WHERE outcome = ? ORDER BY id DESC"
        with contextlib.closing(sqlite3.connect(self._database)) as connection:
            return connection.execute(asked, [outcome]).fetchone()


@pytest.fixture(scope="module", params=CATALOGUES)
def language(request):
    return request.param


@pytest.fixture(scope="module")
def demo(language, tmp_path_factory):
    directory = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-u", MANAGE, "demo"]
    environment = os.environ | {"TMPDIR": str(directory)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with process:
        printed = ""
        for line in process.stdout:
            printed += line
            if "Ctrl-C" in line:
                break
        assert "Ctrl-C" in printed, printed
        yield Demo(directory, printed)
        process.send_signal(signal.SIGINT)


@pytest.fixture
def say(language):
    """A text of the admin as it reads in this language."""

    def said(text):
        with translation.override(CATALOGUES[language]):
            return gettext(text)

    return said


@pytest.fixture
def sign_in(visit, demo, language):
    """Signed in, as whoever looks after the shop is all day."""

    def make(width, theme):
        visitor = visit(demo.site, width=width, theme=theme, language=language)
        visitor.open("/admin/")
        visitor.page.locator("#id_username").fill("admin")
        visitor.page.locator("#id_password").fill(demo.password)
        visitor.page.locator("[type=submit]").click()
        visitor.page.wait_for_url(re.compile(r"/admin/$"))
        return visitor

    return make


@pytest.fixture(params=TWO_LOOKS, ids="-".join)
def staff(request, sign_in):
    return sign_in(*request.param)


def ask(visitor, say, number):
    """From the admin's index to the payment desk, and the number into its box."""
    visitor.open("/admin/")
    desk = re.compile(re.escape(say("payment desk")), re.IGNORECASE)
    visitor.page.locator("#content-main").get_by_role("link", name=desk).click()
    visitor.page.locator("#wechatpay-box:focus").wait_for()  # the cursor stands there
    visitor.page.keyboard.type(number)
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_url(re.compile(r"/order/\d+/change/"))


def headline(visitor, say):
    return visitor.page.get_by_role("region", name=say("In short"))


def part(text):
    """A sentence of the admin without its facts, as a pattern."""
    return re.compile(".+?".join(map(re.escape, re.split(r"%\(\w+\)[sd]", text))))


def test_somebody_paid_and_got_nothing_because_the_order_was_cancelled(staff, demo, say):
    visitor = staff
    visitor.open("/admin/")
    visitor.look("index")
    ask(visitor, say, demo.newest("unexpected")[1])
    late = say("%(amount)s arrived for order %(number)s after it was closed (%(moment)s).")
    headline(visitor, say).get_by_text(part(late)).wait_for()
    visitor.look("order-closed")


def test_the_desk_shows_what_needs_a_person(staff, demo, say):
    visitor = staff
    visitor.open("/admin/wechatpay_notify/desk/")
    visitor.page.get_by_role("heading", name=say("To do"), exact=True).wait_for()
    visitor.page.get_by_role("link", name=demo.newest("unexpected")[1]).first.wait_for()
    visitor.look("desk")


@pytest.mark.parametrize(
    ("outcome", "cause"), [("signature_invalid", "json_rewritten"), ("undecryptable", "apiv3_key_wrong")]
)
def test_why_a_notification_was_refused_and_how_that_is_mended(staff, demo, say, language, outcome, cause):
    visitor = staff
    visitor.open(f"/admin/wechatpay_notify/notificationlog/{demo.newest(outcome)[0]}/change/")
    with translation.override(CATALOGUES[language]):
        found, mend = (part(str(text)) for text in WORDS[cause])
    why = visitor.page.get_by_role("region", name=say("Why it was refused"))
    why.get_by_role("cell", name=found).wait_for()
    why.get_by_role("cell", name=mend).wait_for()
    visitor.look(f"refused-{outcome}")


def test_an_empty_shelf_is_filled_and_the_order_delivered_again(sign_in, demo, say):
    visitor = sign_in("wide", "light")
    number = demo.newest("receiver_failed")[1]
    ask(visitor, say, number)
    page = visitor.page
    failed = say("Paid, but %(receiver)s has failed %(times)s: %(error)s; next attempt %(next)s.")
    headline(visitor, say).get_by_text(part(failed)).wait_for()
    visitor.look("order-failed")
    visitor.open("/admin/shop/product/3/change/")
    page.locator("#id_stock").fill("10")
    page.locator("[name=_save]").click()
    ask(visitor, say, number)
    page.get_by_role("link", name=say("Deliver again what failed")).click()
    page.locator("#wechatpay-reason").fill("shelf filled")
    visitor.look("deliver-again")
    page.locator(".submit-row input[type=submit]").click()
    page.get_by_role("heading", name=say("How they ended")).wait_for()
    visitor.look("delivered-again")
    ask(visitor, say, number)
    headline(visitor, say).get_by_text(part(say("Paid on %(moment)s, %(amount)s; every receiver has run."))).wait_for()
    page.get_by_role("region", name=say("What happened")).get_by_text("shelf filled").wait_for()
    visitor.look("order-mended")


def test_what_somebody_has_dealt_with_is_resolved_and_leaves_the_list(sign_in, demo, say):
    visitor = sign_in("wide", "light")
    page = visitor.page
    number = demo.newest("amount_mismatch")[1]
    visitor.open("/admin/wechatpay_notify/desk/")
    page.get_by_role("region", name=re.compile(re.escape(say("another amount")))).get_by_role(
        "link", name=number
    ).first.click()
    page.get_by_role("link", name=say("Resolve"), exact=True).click()
    page.locator("#wechatpay-reason").fill("1 fen refunded")
    visitor.look("resolve")
    page.locator(".submit-row input[type=submit]").click()
    page.get_by_role("heading", name=say("How they ended")).wait_for()
    visitor.open("/admin/wechatpay_notify/desk/")
    page.get_by_role("heading", name=say("To do"), exact=True).wait_for()
    assert page.get_by_role("region", name=re.compile(re.escape(say("another amount")))).count() == 0


def test_the_list_of_notifications_says_how_it_goes(staff, say):
    visitor = staff
    visitor.open("/admin/wechatpay_notify/notificationlog/")
    visitor.page.get_by_role("region", name=say("Health")).wait_for()
    visitor.look("notifications")
