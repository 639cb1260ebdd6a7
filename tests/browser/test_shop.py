"""The example shop in a browser: a customer waits, the money arrives, the page turns to paid by itself."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from wechatpay_notify.testing import development_platform

from .visitor import WIDTHS

pytestmark = pytest.mark.browser

MANAGE = str(Path(__file__).parent.parent.parent / "example_project" / "manage.py")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("shop")


@contextlib.contextmanager
def serving(data, **environment):
    """The example's own server, in this data directory; its URL."""
    environment = os.environ | {"EXAMPLE_DATA_DIR": str(data)} | environment
    for command in (["migrate", "--verbosity=0"], ["createsuperuser", "--noinput", "--username=admin", "--email="]):
        subprocess.run([sys.executable, MANAGE, *command], env=environment, check=True, timeout=120)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with (data / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, MANAGE, "demo_server", "--noreload", address],
            env=environment,
            stdin=subprocess.PIPE,  # the server ends when this does
            stdout=log,
            stderr=log,
        )
    with server:
        give_up = time.monotonic() + 60
        while time.monotonic() < give_up and server.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{address}/", timeout=10):
                break
            time.sleep(0.1)
        else:
            pytest.fail((data / "server.log").read_text())
        yield f"http://{address}"
        server.terminate()


@pytest.fixture(scope="module")
def shop(data):
    with serving(data, DJANGO_SUPERUSER_PASSWORD="of-no-use") as url:
        yield url


@pytest.fixture(params=WIDTHS)
def page(request, visit, shop):
    return visit(shop, width=request.param).page


def order(page, shop):
    """Buy two of the first product; the browser is then on the order's page. Returns the order's number."""
    page.goto(shop)
    page.get_by_label("Quantity").first.fill("2")
    page.get_by_role("button", name="Buy").first.click()
    page.get_by_text("Waiting for payment").wait_for()
    return page.locator(".number").inner_text()


def expect_paid_without_a_reload(page):
    page.get_by_text("Paid").wait_for(timeout=15_000)
    assert page.get_by_text("Waiting for payment").is_hidden()
    assert page.get_by_text("Pay now").is_hidden()
    assert page.evaluate("document.stayed") is True


def test_the_order_page_turns_to_paid_by_itself(page, shop, data):
    number = order(page, shop)
    page.evaluate("document.stayed = true")
    signed = development_platform(data / ".wechatpay").payment_v3(number, 13600)
    assert signed.send(f"{shop}/wechatpay/notify/") == (200, b'{"code": "SUCCESS"}')
    expect_paid_without_a_reload(page)
    page.reload()
    page.get_by_text("Paid").wait_for()


def test_the_pretend_payment_button_sends_a_real_notification(page, shop):
    order(page, shop)
    page.evaluate("document.stayed = true")
    page.get_by_role("button", name="Pay now").click()
    expect_paid_without_a_reload(page)


def test_the_command_shown_on_the_order_page_pays_the_order(page, shop):
    order(page, shop)
    page.evaluate("document.stayed = true")
    page.get_by_text("Pay it from a terminal").click()
    shown = page.locator("pre").inner_text().replace("python example_project/manage.py", f"{sys.executable} {MANAGE}")
    subprocess.run(shown, shell=True, check=True, timeout=60)
    expect_paid_without_a_reload(page)


def test_a_refund_shows_and_the_goods_go_back_on_the_shelf(page, shop, data):
    page.goto(shop)
    shelf = page.get_by_text("in stock").first.inner_text()
    number = order(page, shop)
    paid = development_platform(data / ".wechatpay").payment_v3(number, 13600, transaction_id=f"42{number}")
    assert paid.send(f"{shop}/wechatpay/notify/")[0] == 200
    numbers = {"total": 13600, "transaction_id": f"42{number}", "out_refund_no": f"{number}-1"}
    part = development_platform(data / ".wechatpay").refund_v3(number, 3600, **numbers)
    assert part.send(f"{shop}/wechatpay/notify/") == (200, b'{"code": "SUCCESS"}')
    page.reload()
    page.get_by_text("¥36.00").wait_for()
    page.get_by_role("button", name="Refund the rest").click()
    page.get_by_text("The money is back with you").wait_for()
    page.locator("dd", has_text="¥136.00").wait_for()
    assert page.get_by_role("button", name="Refund").is_hidden()
    page.goto(shop)
    assert page.get_by_text("in stock").first.inner_text() == shelf


def test_a_cancelled_order_is_not_waited_for(page, shop, data):
    number = order(page, shop)
    page.get_by_role("button", name="Cancel the order").click()
    page.get_by_text("Cancelled 已取消").locator("visible=true").wait_for()
    late = development_platform(data / ".wechatpay").payment_v3(number, 13600)
    assert late.send(f"{shop}/wechatpay/notify/")[0] == 200
    page.reload()
    page.get_by_text("Your payment came after the order was cancelled: we refund it.").wait_for()


def test_no_page_is_wider_than_its_screen(page, shop):
    order(page, shop)
    for url in (page.url, shop):
        page.goto(url)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
