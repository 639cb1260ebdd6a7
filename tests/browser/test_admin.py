"""The admin in Chromium under a Content-Security-Policy of 'self': from the list to the page, wide and narrow."""

import re

import pytest
from django.urls import reverse

from tests.test_admin import MODELS, REFUNDED, STUCK, TRANSACTION, UNKNOWN, url
from wechatpay_notify.models import Order
from wechatpay_notify.testing import OPENID

from .visitor import LOOKS, WIDTHS

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("visitor", LOOKS, ids="-".join, indirect=True)
@pytest.mark.parametrize("model", MODELS)
def test_walk_from_the_list_to_each_page(visitor, model):
    page = visitor.page
    name = model._meta.model_name
    visitor.open(url(model, "changelist"))
    visitor.look(f"{name}-list")
    if visitor.width == "wide":  # on a telephone Django's list scrolls inside its box
        assert page.locator(".results").evaluate("box => box.scrollWidth - box.clientWidth") == 0
    rows = page.locator("#result_list tbody tr")
    assert rows.count() == model.objects.count()
    for number in (0, rows.count() - 1):
        rows.nth(number).locator("th a").click()
        page.wait_for_url(re.compile(r"/change/"))
        visitor.look(f"{name}-{number}")
        page.locator(".submit-row .closelink").click()
        page.wait_for_url(re.compile(rf"/{name}/$"))


def test_walk_along_the_links_from_a_notification_to_its_order_and_back(visitor):
    page = visitor.page
    visitor.open(reverse("admin:index"))
    page.get_by_role("link", name="Notifications", exact=True).first.click()
    visitor.open(url(MODELS[1], "changelist") + "?q=EV-1001")
    assert page.locator("#result_list tbody tr").count() == 3
    page.locator("#result_list tbody th a").last.click()
    page.get_by_text(OPENID).first.wait_for()  # a superuser may see it
    page.get_by_role("region", name="Order").get_by_role("link").click()
    story = page.get_by_role("region", name="What happened")
    story.get_by_text("✓ done").wait_for()
    story.get_by_role("link", name="notification #").last.click()
    page.get_by_role("region", name="What WeChat sent").get_by_role("heading", name="Decrypted resource").wait_for()


def test_walk_along_the_links_from_an_order_to_its_refund_and_what_told_of_it(visitor):
    page = visitor.page
    visitor.open(url(Order, "changelist") + f"?q={REFUNDED}")
    page.locator("#result_list tbody th a").click()
    visitor.look("order-refunded")
    page.get_by_role("region", name="What happened").get_by_role("link", name=STUCK).click()
    page.get_by_text("Somebody must act").wait_for()
    visitor.look("refund-abnormal")
    page.get_by_role("region", name="Discrepancies").get_by_role("link").click()
    page.get_by_text("Compare the refunds below").wait_for()
    visitor.look("discrepancy-refund")
    page.get_by_role("region", name="Notifications of this number").get_by_role("link").first.click()
    page.get_by_text("No refund of this number is recorded.").wait_for()


def test_walk_from_the_desk_to_an_order_and_from_its_page_to_another(visitor):
    page = visitor.page
    visitor.open(reverse("admin:index"))
    page.get_by_role("link", name="Payment desk (4 to do)").click()
    visitor.look("desk")
    page.get_by_role("region", name="Abnormal refunds (1)").get_by_role("link", name=STUCK).wait_for()
    page.keyboard.type(f"交易单号: {TRANSACTION}")  # the cursor stands in the box
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/order/\d+/change/"))
    box = page.get_by_role("search", name="Find a payment by any number")
    box.get_by_role("textbox").fill("SHOP-9999")
    box.get_by_role("button", name="Find").click()
    page.get_by_text("What to check next:").wait_for()
    visitor.look("desk-nothing")
    page.get_by_role("textbox", name="Find a payment by any number").fill(UNKNOWN)
    page.keyboard.press("Enter")
    page.get_by_role("region", name="Discrepancies").wait_for()
    visitor.look("desk-found")


def test_blocks_of_text_wrap_inside_the_window(visitor):
    page = visitor.page
    visitor.open(url(MODELS[1], "changelist") + "?q=HOSTILE")
    page.locator("#result_list tbody th a").first.click()
    page.wait_for_url(re.compile(r"/change/"))
    page.evaluate("document.querySelectorAll('details').forEach(folded => { folded.open = true })")
    for block in page.locator("pre").all():
        box = block.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= WIDTHS[visitor.width]["width"]
        assert block.evaluate("element => element.scrollWidth <= element.clientWidth")
