"""The recipe for a theme in a browser: the example's admin under django-unfold, wide and narrow."""

import re

import pytest

from wechatpay_notify.testing import development_platform

from .test_shop import serving
from .visitor import WIDTHS

pytestmark = pytest.mark.browser

PASSWORD = "of the test alone"
NUMBER = "NOBODY-KNOWS-IT"


@pytest.fixture(scope="module")
def themed(tmp_path_factory):
    data = tmp_path_factory.mktemp("themed")
    with serving(data, EXAMPLE_THEME="unfold", DJANGO_SUPERUSER_PASSWORD=PASSWORD) as url:
        payment = development_platform(data / ".wechatpay").payment_v3(NUMBER, 100)
        assert payment.send(f"{url}/wechatpay/notify/")[0] == 409
        yield url


@pytest.mark.parametrize("width", WIDTHS)
def test_the_desk_the_lists_and_the_pages_work_under_a_theme(visit, themed, width):
    visitor = visit(themed, width=width)
    page = visitor.page
    visitor.open("/admin/")
    page.locator("#id_username").fill("admin")
    page.locator("#id_password").fill(PASSWORD)
    page.locator("[type=submit]").click()
    page.wait_for_url(re.compile(r"/admin/$"))
    visitor.open("/admin/wechatpay_notify/desk/")
    page.locator("#wechatpay-box").fill(NUMBER)
    page.keyboard.press("Enter")
    page.get_by_role("region", name="Notifications").get_by_role("link").first.click()
    page.get_by_role("region", name="In short").get_by_text("WeChat reports a payment for order").wait_for()
    page.get_by_role("region", name="What WeChat sent").wait_for()
    visitor.open("/admin/wechatpay_notify/notificationlog/")
    assert page.get_by_text("unknown_order").count() > 0
    page.get_by_role("region", name="Health").wait_for()
