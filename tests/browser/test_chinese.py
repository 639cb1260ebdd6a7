"""The admin in a Chinese browser: what a shop assistant in China reads, on a wide light and on a narrow dark screen."""

import pytest
from django.urls import reverse

from tests.browser.test_admin import WIDTHS, chromium, overflow, picture  # noqa: F401  (a fixture among them)
from tests.test_admin import MODELS, fill, url
from tests.test_translation import CHOOSE, ENGLISH, FAILURE, HAN
from wechatpay_notify.models import NotificationLog

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(params=[("wide", "light"), ("narrow", "dark")], ids="-".join)
def page(request, chromium, live_server, settings, admin_client, shipped, unexpected):  # noqa: F811
    """A superuser's page on a filled admin, in a browser that a person in China has."""
    width, scheme = request.param
    fill(admin_client, shipped)
    context = chromium.new_context(viewport=WIDTHS[width], locale="zh-CN", color_scheme=scheme)
    cookie = admin_client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])
    page = context.new_page()
    page.width = "-".join(request.param)
    yield page
    context.close()


def english_on(page):
    """Three English words in a row that are seen, but for stored texts: the details of cases and receivers' errors."""
    page.evaluate("() => document.querySelectorAll('pre').forEach(block => block.remove())")
    text = page.locator("#content").inner_text()
    details = filter(None, NotificationLog.objects.values_list("detail", flat=True))
    for stored in (*details, FAILURE, CHOOSE):
        text = text.replace(stored, " ")
    return ENGLISH.findall(text)


@pytest.mark.parametrize("model", MODELS)
def test_walk_from_the_list_to_each_page_in_chinese(page, live_server, model):
    name = model._meta.model_name
    page.goto(live_server.url + url(model, "changelist"))
    picture(page, f"zh-{name}-list")
    assert page.locator("html").get_attribute("lang") == "zh-hans"
    assert overflow(page) == 0
    assert english_on(page) == []
    for row in model.objects.all():
        page.goto(live_server.url + url(model, "change", row.pk))
        picture(page, f"zh-{name}-{row.pk}")
        assert overflow(page) == 0
        assert english_on(page) == []
        assert all(HAN.search(title) for title in page.locator("h2.fieldset-heading").all_inner_texts())


def test_the_index_lists_the_records_in_chinese(page, live_server):
    page.goto(live_server.url + reverse("admin:index"))
    picture(page, "zh-index")
    box = page.locator(".app-wechatpay_notify")
    for name in ("微信支付通知", "订单", "退款", "通知", "信号投递", "款项差异"):
        box.get_by_role("link", name=name, exact=True).first.wait_for()
