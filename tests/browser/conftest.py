"""Fixtures: one Chromium for all browser tests, visitors that use it, and one who is signed in to a filled admin."""

import shutil

import pytest

from tests.settings import PLATFORM
from tests.test_admin import HOSTILE, NOTIFY, fill
from wechatpay_notify.models import Order, Refund

from .visitor import FLAGS, TWO_LOOKS, Visitor


@pytest.fixture(scope="session")
def chromium():
    from playwright.sync_api import sync_playwright  # not installed where no browser is

    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright's loop runs in this thread, which Django takes for an asynchronous context.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        path = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=[f"--{flag}" for flag in FLAGS])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """Open a site as a visitor who will have nothing to complain about when the test is over."""
    visitors = []

    def make(site, **looks):
        visitors.append(Visitor(chromium, site, **looks))
        return visitors[-1]

    yield make
    for visitor in visitors:
        visitor.leave()


@pytest.fixture
def staff(visit, live_server, settings, admin_client, shipped, unexpected):
    """Call it for a superuser's visitor on a filled admin whose host forbids everything inline and foreign."""
    settings.MIDDLEWARE = ["tests.browser.visitor.strict_policy", *settings.MIDDLEWARE]
    fill(admin_client, shipped)

    def sign_in(**looks):
        visitor = visit(live_server.url, **looks)
        cookie = admin_client.cookies[settings.SESSION_COOKIE_NAME].value
        visitor.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])
        return visitor

    return sign_in


@pytest.fixture(params=TWO_LOOKS, ids="-".join)
def visitor(request, staff, admin_client):
    """One on a wide light and one on a narrow dark screen, on an admin that somebody has attacked too."""
    order = Order.objects.expect(out_trade_no="HOSTILE", amount=3, description=HOSTILE)
    Refund.objects.create(order=order, out_refund_no="R" * 64, amount=1, transaction_id="T" * 32)
    PLATFORM.payment_v3("HOSTILE", 3, attach=HOSTILE, note="W" * 3000).post(admin_client, NOTIFY)
    width, theme = request.param
    return staff(width=width, theme=theme)
