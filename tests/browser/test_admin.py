"""The admin in Chromium under a Content-Security-Policy of 'self': from the list to the page, wide and narrow."""

import os
import re
import shutil
from pathlib import Path

import pytest
from django.urls import reverse

from tests.settings import PLATFORM
from tests.test_admin import HOSTILE, MASKED, MODELS, NOTIFY, REFUNDED, STUCK, fill, url
from wechatpay_notify.models import Order, Refund

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

WIDTHS = {"wide": {"width": 1280, "height": 900}, "narrow": {"width": 390, "height": 844}}


def strict_policy(get_response):
    """A host's middleware that forbids everything inline and everything foreign."""

    def middleware(request):
        response = get_response(request)
        response["Content-Security-Policy"] = "default-src 'self'; frame-ancestors 'none'; form-action 'self'"
        return response

    return middleware


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    flags = ["no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking"]
    flags += ["disable-component-update", "disable-sync"]
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright's loop runs in this thread, which Django takes for an asynchronous context.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        path = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=[f"--{flag}" for flag in flags])
        yield browser
        browser.close()


@pytest.fixture(params=WIDTHS)
def page(request, chromium, live_server, settings, admin_client, shipped, unexpected):
    """A superuser's page on a filled admin; anything on the console, and any foreign address, fails the test."""
    settings.MIDDLEWARE = [f"{__name__}.strict_policy", *settings.MIDDLEWARE]
    fill(admin_client, shipped)
    order = Order.objects.expect(out_trade_no="HOSTILE", amount=3, description=HOSTILE)
    Refund.objects.create(order=order, out_refund_no="R" * 64, amount=1, transaction_id="T" * 32)
    PLATFORM.payment_v3("HOSTILE", 3, attach=HOSTILE, note="W" * 3000).post(admin_client, NOTIFY)
    context = chromium.new_context(viewport=WIDTHS[request.param], locale="en")
    cookie = admin_client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])
    page = context.new_page()
    page.width = request.param
    said, foreign = [], []
    # Chromium asks for a favicon.ico of its own accord; that the test server has none is no fault of a page.
    page.on("console", lambda told: "/favicon.ico" in told.location["url"] or said.append(told.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda sent: None if sent.url.startswith(live_server.url) else foreign.append(sent.url))
    yield page
    context.close()
    assert said == []
    assert foreign == []


def picture(page, name):
    """Keep a screenshot, if somebody wants to look: set WECHATPAY_SCREENSHOTS to a directory."""
    directory = os.environ.get("WECHATPAY_SCREENSHOTS")
    if directory:
        page.screenshot(path=Path(directory) / f"{name}-{page.width}.png", full_page=True)


def overflow(page):
    """Pixels that the page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@pytest.mark.parametrize("model", MODELS)
def test_walk_from_the_list_to_each_page(page, live_server, model):
    name = model._meta.model_name
    page.goto(live_server.url + url(model, "changelist"))
    picture(page, f"{name}-list")
    assert overflow(page) == 0
    if page.width == "wide":  # on a telephone Django's list scrolls inside its box
        assert page.locator(".results").evaluate("box => box.scrollWidth - box.clientWidth") == 0
    rows = page.locator("#result_list tbody tr")
    assert rows.count() == model.objects.count()
    for number in (0, rows.count() - 1):
        rows.nth(number).locator("th a").click()
        page.wait_for_url(re.compile(r"/change/"))
        picture(page, f"{name}-{number}")
        assert overflow(page) == 0
        page.locator(".submit-row .closelink").click()
        page.wait_for_url(re.compile(rf"/{name}/$"))


def test_walk_along_the_links_from_a_notification_to_its_order_and_back(page, live_server):
    page.goto(live_server.url + reverse("admin:index"))
    page.get_by_role("link", name="Notifications", exact=True).first.click()
    page.locator("#searchbar").fill("EV-1001")
    page.locator("#changelist-search input[type=submit]").click()
    page.wait_for_url(re.compile(r"\?q=EV-1001"))
    assert page.locator("#result_list tbody tr").count() == 3
    page.locator("#result_list tbody th a").last.click()
    page.get_by_text(MASKED).first.wait_for()
    page.get_by_role("region", name="Order").get_by_role("link").click()
    page.get_by_role("region", name="Receivers told").get_by_text("✓ done").wait_for()
    page.get_by_role("region", name="Notifications of this number").get_by_role("link").first.click()
    page.get_by_role("region", name="Decrypted resource").wait_for()


def test_walk_along_the_links_from_an_order_to_its_refund_and_what_told_of_it(page, live_server):
    page.goto(live_server.url + url(Order, "changelist") + f"?q={REFUNDED}")
    page.locator("#result_list tbody th a").click()
    picture(page, "order-refunded")
    page.get_by_role("region", name="Refunds").get_by_role("link", name=STUCK).click()
    page.get_by_text("Somebody must act").wait_for()
    picture(page, "refund-abnormal")
    page.get_by_role("region", name="Discrepancies").get_by_role("link").click()
    page.get_by_text("Compare the refunds below").wait_for()
    picture(page, "discrepancy-refund")
    page.get_by_role("region", name="Notifications of this number").get_by_role("link").first.click()
    page.get_by_text("No refund of this number is recorded.").wait_for()


def test_blocks_of_text_wrap_inside_the_window(page, live_server):
    page.goto(live_server.url + url(MODELS[1], "changelist") + "?q=HOSTILE")
    page.locator("#result_list tbody th a").first.click()
    for block in page.locator("pre").all():
        box = block.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= WIDTHS[page.width]["width"]
        assert block.evaluate("element => element.scrollWidth <= element.clientWidth")
