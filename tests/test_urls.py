"""The URLs: with and without slash, alias or none, POST alone, and the one handed to WeChat."""

import logging

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory, override_settings
from django.urls import include, path, reverse

from tests.settings import PLATFORM
from wechatpay_notify.conf import build_merchant
from wechatpay_notify.models import NotificationLog, Order
from wechatpay_notify.urls import notify_url
from wechatpay_notify.views import V2NotifyView

pytestmark = pytest.mark.django_db
SECOND = {"MCHID": "1900000110", "API_V2_KEY": "2" * 32}

urlpatterns = [
    path("pay/notify.php", V2NotifyView.as_view(merchant="default")),
    path("wechatpay/", include("wechatpay_notify.urls")),
]


@pytest.fixture
def two_merchants(settings):
    settings.WECHATPAY_NOTIFY = {
        "MERCHANTS": {"default": PLATFORM.merchant(), "second": SECOND, "v3-only": PLATFORM.merchant(API_V2_KEY=None)},
        "BASE_URL": "https://shop.example",
    }


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("alias", ["", "/default"])
@pytest.mark.parametrize("route", ["notify", "v3", "v2"])
def test_every_url_works_with_and_without_slash_and_alias(client, shipped, route, alias, slash):
    Order.objects.expect(out_trade_no="A-1", amount=100)
    make = PLATFORM.payment_v2 if route == "v2" else PLATFORM.payment_v3
    assert make("A-1", 100).post(client, f"/wechatpay/{route}{alias}{slash}").status_code == 200
    assert len(shipped.calls) == 1


def test_the_urls_are_named_and_the_name_means_the_one_with_the_slash():
    assert reverse("wechatpay_notify:notify") == "/wechatpay/notify/"
    assert reverse("wechatpay_notify:v3") == "/wechatpay/v3/"
    assert reverse("wechatpay_notify:v2", kwargs={"alias": "second"}) == "/wechatpay/v2/second/"


@pytest.mark.parametrize("route", ["notify", "v3", "v2"])
def test_an_unknown_alias_is_404_in_the_form_of_the_url(client, route):
    signed = PLATFORM.payment_v2("A-1", 100) if route != "v3" else PLATFORM.payment_v3("A-1", 100)
    response = signed.post(client, f"/wechatpay/{route}/nobody/")
    assert response.status_code == 404
    assert response.content.startswith(b"{" if route == "v3" else b"<xml>")
    assert not NotificationLog.objects.exists()


def test_a_version_whose_key_the_merchant_lacks_is_404(client, two_merchants):
    assert PLATFORM.payment_v3("A-1", 100).post(client, "/wechatpay/notify/second/").status_code == 404
    assert PLATFORM.payment_v3("A-1", 100).post(client, "/wechatpay/v3/second/").status_code == 404
    assert PLATFORM.payment_v2("A-1", 100).post(client, "/wechatpay/v2/v3-only/").status_code == 404
    assert PLATFORM.payment_v2("A-1", 100).post(client, "/wechatpay/v2/second/").status_code == 200  # refused in XML
    assert NotificationLog.objects.get().outcome == "signature_invalid"


@pytest.mark.parametrize("limit", [100, 2 * 1024 * 1024])
@pytest.mark.parametrize("alias", ["", "second/"])
def test_a_v2_body_over_the_cap_is_refused_in_xml(client, two_merchants, settings, alias, limit):
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"MAX_BODY_BYTES": limit}
    response = PLATFORM.payment_v2("A-1", 100, attach="x" * limit).post(client, f"/wechatpay/notify/{alias}")
    assert response.status_code == 413
    assert response.content.startswith(b"<xml><return_code><![CDATA[FAIL]]>")
    row = NotificationLog.objects.get()
    assert (row.outcome, row.api_version, row.http_status) == ("too_large", "v2", 413)


@pytest.mark.parametrize("method", ["get", "head", "put", "patch", "delete", "options", "trace"])
@pytest.mark.parametrize("route", ["notify", "v3", "v2"])
def test_post_alone(client, route, method):
    response = getattr(client, method)(f"/wechatpay/{route}/")
    assert response.status_code == 405
    assert response["Allow"] == "POST"


def test_a_body_of_the_other_version_is_malformed_there_and_the_hint_stays_inside(client):
    response = PLATFORM.payment_v3("A-1", 100).post(client, "/wechatpay/v2/")
    assert b"malformed" in response.content
    assert b"url" not in response.content.lower()
    response = PLATFORM.payment_v2("A-1", 100).post(client, "/wechatpay/v3/")
    assert (response.status_code, b"malformed" in response.content) == (400, True)
    assert {row.outcome for row in NotificationLog.objects.all()} == {"malformed"}
    assert all("notify/" in row.detail for row in NotificationLog.objects.all())


@override_settings(ROOT_URLCONF=__name__)
def test_a_view_mounts_on_a_path_of_the_shops_own(client, shipped):
    Order.objects.expect(out_trade_no="A-1", amount=100)
    assert PLATFORM.payment_v2("A-1", 100).post(client, "/pay/notify.php").status_code == 200
    assert len(shipped.calls) == 1


def test_white_space_before_the_body_does_not_hide_its_version(client):
    signed = PLATFORM.payment_v2("A-1", 100)
    response = signed.with_body(b"\n\n" + signed.body).post(client, "/wechatpay/notify/")
    assert response.content.startswith(b"<xml>")


def test_notify_url_names_the_url_for_wechat(two_merchants):
    assert notify_url() == "https://shop.example/wechatpay/notify/"
    assert notify_url(version="v2") == "https://shop.example/wechatpay/v2/"
    assert notify_url(merchant="second", version="v2") == "https://shop.example/wechatpay/v2/second/"
    assert notify_url(base_url="http://other.example/") == "http://other.example/wechatpay/notify/"
    assert notify_url(base_url="https://8.8.8.8:8443") == "https://8.8.8.8:8443/wechatpay/notify/"


@pytest.mark.parametrize(
    "base",
    [
        "https://shop.example/?x=1",
        "https://shop.example/#top",
        "https://localhost",
        "http://localhost:8000",
        "http://127.0.0.1",
        "http://[::1]",
        "http://10.0.0.1",
        "http://192.168.1.2:8000",
        "http://172.16.0.1",
        "http://169.254.1.1",
        "http://0.0.0.0",
        "https://shop",
        "http://127.1",
        "http://0x7f.0.0.1",
        "https://0177.0.0.1",
        "https://10.1",
        "https://shop..example",
        "https://shop.local",
        "shop.example",
        "ftp://shop.example",
        "https://user:secret@shop.example",
        "https://shop.example/支付",
        "https://shop.example/a b",
        "https://",
        "https://shop.example:port",
        "https://shop.example/" + "x" * 250,
    ],
)
def test_notify_url_refuses_what_wechat_refuses(base):
    with pytest.raises(ValueError, match="refuse"):
        notify_url(base_url=base)


def test_notify_url_needs_a_base_and_a_known_merchant(settings):
    with pytest.raises(ImproperlyConfigured, match="nobody"):
        notify_url(merchant="nobody")
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": PLATFORM.merchant()}}
    with pytest.raises(ImproperlyConfigured, match="BASE_URL"):
        notify_url()


def test_notify_url_never_asks_the_host_header(settings):
    request = RequestFactory().get("/", headers={"Host": "evil.example"})
    assert request.get_host() == "evil.example"
    assert notify_url().startswith("https://shop.example/")


def test_a_callable_supplies_merchants(client, shipped, settings):
    built = {"tenant-1": build_merchant("tenant-1", **PLATFORM.merchant())}

    def merchant_for(alias):
        if alias == "broken":
            raise ConnectionError
        return built.get(alias)

    settings.WECHATPAY_NOTIFY = {"MERCHANTS": merchant_for}
    Order.objects.expect(out_trade_no="A-1", amount=100, mchid=PLATFORM.mchid)
    signed = PLATFORM.payment_v3("A-1", 100)
    assert signed.post(client, "/wechatpay/notify/nobody/").status_code == 404
    assert signed.post(client, "/wechatpay/notify/broken/").status_code == 503
    assert signed.post(client, "/wechatpay/notify/tenant-1/").status_code == 200
    assert len(shipped.calls) == 1


def unreachable(alias):
    raise ConnectionError("the tenants' database is down")


@pytest.mark.parametrize(
    ("merchant_for", "outcome", "level"),
    [
        (lambda alias: build_merchant(alias, **PLATFORM.merchant(API_V2_KEY="short")), "misconfigured", logging.ERROR),
        (lambda alias: build_merchant(alias, **PLATFORM.merchant(API_KEY="k" * 32)), "misconfigured", logging.ERROR),
        (unreachable, "unavailable", logging.WARNING),
    ],
)
def test_a_provider_that_raises_is_answered_and_logged_once_by_its_outcome(
    client, settings, caplog, merchant_for, outcome, level
):
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": merchant_for}
    response = PLATFORM.payment_v3("A-1", 100).post(client, "/wechatpay/notify/tenant-1/")
    assert (response.status_code, response.json()) == (503, {"code": "FAIL", "message": "retry"})
    (record,) = [record for record in caplog.records if record.name == "wechatpay_notify"]
    assert (record.levelno, record.outcome, record.merchant) == (level, outcome, "tenant-1")
    assert "k" * 32 not in caplog.text
