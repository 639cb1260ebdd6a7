"""The health strip in Chromium under a Content-Security-Policy of 'self': wide and narrow, light and dark."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from tests.test_admin import url
from wechatpay_notify.health import days
from wechatpay_notify.models import NotificationLog

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_the_strip_fits_its_window_and_its_numbers_open(visitor):
    page = visitor.page
    today = timezone.localdate()
    for back in range(1, days.DAYS):  # as if so much had come on the days before
        counts = {"confirmed": 40 + 7 * back % 50, "duplicate": back, "signature_invalid": back % 3, "error": back // 9}
        cache.set(days._key(today - timedelta(days=back)), counts)
    visitor.open(url(NotificationLog, "changelist"))
    strip = page.get_by_role("region", name="Health")
    strip.get_by_role("img", name="Notifications of the last 14 days").wait_for()
    visitor.look("health")
    strip.get_by_text("Numbers", exact=True).click()
    strip.get_by_text("Keys in use").click()
    assert strip.locator("tbody tr").count() == days.DAYS
    for card in strip.locator(".wechatpay-card").all():
        assert card.evaluate("box => box.scrollWidth <= box.clientWidth")
    visitor.look("health-open")
