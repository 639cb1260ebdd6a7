"""The admin in a Chinese browser: what a shop assistant in China reads, on a wide light and on a narrow dark screen."""

import pytest
from django.urls import reverse

from tests.test_admin import MODELS, url
from tests.test_translation import CHOOSE, ENGLISH, FAILURE, HAN
from wechatpay_notify.models import NotificationLog

from .visitor import TWO_LOOKS

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(params=TWO_LOOKS, ids="-".join)
def visitor(request, staff):
    """A superuser with a browser that a person in China has."""
    width, theme = request.param
    return staff(width=width, theme=theme, language="zh-CN")


def english_on(page):
    """Three English words in a row that are seen, but for stored texts: the details of cases and receivers' errors."""
    page.evaluate("() => document.querySelectorAll('pre').forEach(block => block.remove())")
    text = page.locator("#content").inner_text()
    details = filter(None, NotificationLog.objects.values_list("detail", flat=True))
    for stored in (*details, FAILURE, CHOOSE):
        text = text.replace(stored, " ")
    return ENGLISH.findall(text)


@pytest.mark.parametrize("model", MODELS)
def test_walk_from_the_list_to_each_page_in_chinese(visitor, model):
    page = visitor.page
    name = model._meta.model_name
    visitor.open(url(model, "changelist"))
    visitor.look(f"zh-{name}-list")
    assert page.locator("html").get_attribute("lang") == "zh-hans"
    assert english_on(page) == []
    for number, row in enumerate(model.objects.all()):
        visitor.open(url(model, "change", row.pk))
        if number == 0:  # the others are looked at in English, and take their time
            visitor.look(f"zh-{name}")
        assert english_on(page) == []
        assert all(HAN.search(title) for title in page.locator("h2.fieldset-heading").all_inner_texts())


def test_the_index_lists_the_records_in_chinese(visitor):
    page = visitor.page
    visitor.open(reverse("admin:index"))
    visitor.look("zh-index")
    box = page.locator(".app-wechatpay_notify")
    for name in ("微信支付通知", "订单", "退款", "通知", "信号投递", "款项差异"):
        box.get_by_role("link", name=name, exact=True).first.wait_for()
