"""The setting at request time: read lazily, parsed once, and a fault stops the version it is in and no other."""

import pytest

from tests.settings import PLATFORM
from wechatpay_notify.conf import build_merchant, conf
from wechatpay_notify.models import NotificationLog, Order
from wechatpay_notify.protocol.errors import Misconfigured
from wechatpay_notify.protocol.types import ExpectedOrder

pytestmark = pytest.mark.django_db
URL = "/wechatpay/notify/"
NO_PEM = {PLATFORM.serial: "nowhere/pub_key.pem"}


@pytest.fixture
def merchant(settings):
    def merchant(**given):
        settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": PLATFORM.merchant(**given)}}

    return merchant


@pytest.fixture
def answers(client):
    """Post a v3 and a v2 notification; what each came to."""

    def answers():
        PLATFORM.payment_v3("A-1", 100).post(client, URL)
        PLATFORM.payment_v2("A-2", 100).post(client, URL)
        return list(NotificationLog.objects.order_by("pk").values_list("outcome", flat=True))

    for number in ("A-1", "A-2"):
        Order.objects.expect(out_trade_no=number, amount=100)
    return answers


@pytest.mark.parametrize(
    ("given", "outcomes"),
    [
        ({}, ["confirmed", "confirmed"]),
        ({"API_V3_KEY": PLATFORM.api_v3_key[:16]}, ["misconfigured", "confirmed"]),
        ({"API_V3_KEY": [PLATFORM.api_v3_key, ""]}, ["misconfigured", "confirmed"]),
        ({"API_V3_KEY": b"3" * 32}, ["misconfigured", "confirmed"]),
        ({"PLATFORM_KEYS": None}, ["misconfigured", "confirmed"]),
        ({"PLATFORM_KEYS": "pub_key.pem"}, ["misconfigured", "confirmed"]),
        ({"PLATFORM_KEYS": NO_PEM}, ["misconfigured", "confirmed"]),
        ({"PLATFORM_KEYS": {PLATFORM.serial: "nul\0byte"}}, ["misconfigured", "confirmed"]),
        ({"PLATFORM_KEYS": None, "API_V2_KEY": ""}, ["misconfigured", "misconfigured"]),
        ({"API_V2_KEY": ""}, ["confirmed", "misconfigured"]),
        ({"API_V2_KEY": []}, ["confirmed", "misconfigured"]),
        ({"V2_SIGN_TYPE": "md5"}, ["confirmed", "misconfigured"]),
        ({"MCHID": None}, ["wrong_merchant", "wrong_merchant"]),
        ({"APPIDS": PLATFORM.appid}, ["confirmed", "confirmed"]),
        ({"APPIDS": []}, ["wrong_merchant", "wrong_merchant"]),
        ({"APPIDS": 5}, ["wrong_merchant", "wrong_merchant"]),
        ({"SUB_MCHIDS": 1900000110}, ["wrong_merchant", "wrong_merchant"]),
    ],
)
def test_a_fault_stops_its_version_and_no_other(merchant, answers, shipped, given, outcomes):
    merchant(**given)
    assert answers() == outcomes


def test_the_log_names_the_setting_and_never_the_key(merchant, answers, shipped):
    merchant(PLATFORM_KEYS={PLATFORM.serial: PLATFORM.api_v3_key}, API_V2_KEY=PLATFORM.api_v2_key[:31])
    assert answers() == ["misconfigured", "misconfigured"]
    details = " ".join(NotificationLog.objects.values_list("detail", flat=True))
    assert "PLATFORM_KEYS" in details
    assert "API_V2_KEY" in details
    assert PLATFORM.api_v3_key[:31] not in details
    assert PLATFORM.api_v2_key[:31] not in details


@pytest.mark.parametrize("tolerance", ["abc", "", None, -1, 0, float("nan"), True, [300]])
def test_a_tolerance_that_is_no_number_of_seconds_leaves_the_default(settings, merchant, answers, shipped, tolerance):
    merchant()
    settings.WECHATPAY_NOTIFY["TIMESTAMP_TOLERANCE"] = tolerance
    assert conf.merchants["default"].merchant.timestamp_tolerance == 300
    assert answers() == ["confirmed", "confirmed"]


@pytest.mark.parametrize("value", ["60", None, -1, True, [60], float("nan")])
@pytest.mark.parametrize("name", ["MAX_BODY_BYTES", "REJECTED_LOG_PER_MINUTE", "REJECTED_LOG_KEEP", "INLINE_SECONDS"])
def test_a_number_of_the_wrong_type_stops_nothing(settings, client, merchant, answers, shipped, name, value):
    merchant()
    settings.WECHATPAY_NOTIFY[name] = value
    signed = PLATFORM.payment_v3("A-1", 100)
    assert signed.with_body(b"{}").post(client, URL).status_code == 401
    assert answers() == ["signature_invalid", "confirmed", "confirmed"]


def test_a_smaller_tolerance_is_kept(settings, merchant):
    merchant()
    settings.WECHATPAY_NOTIFY["TIMESTAMP_TOLERANCE"] = 60
    assert conf.merchants["default"].merchant.timestamp_tolerance == 60


@pytest.mark.parametrize("form", [str, str.encode])
def test_a_platform_key_is_text_or_bytes(merchant, answers, shipped, form):
    merchant(PLATFORM_KEYS={PLATFORM.serial: form(PLATFORM.public_pem())})
    assert answers() == ["confirmed", "confirmed"]


@pytest.mark.parametrize("form", [str, lambda path: path])
def test_a_platform_key_is_a_path(merchant, answers, shipped, tmp_path, form):
    pem = tmp_path / "pub_key.pem"
    pem.write_text(PLATFORM.public_pem())
    merchant(PLATFORM_KEYS={PLATFORM.serial: form(pem)})
    assert answers() == ["confirmed", "confirmed"]


@pytest.mark.parametrize(
    "given", [None, [], "text", {"MERCHANTS": None}, {"MERCHANTS": 5}, {"MERCHANTS": {"default": 5}}]
)
def test_without_a_usable_setting_nothing_is_taken(settings, client, given):
    settings.WECHATPAY_NOTIFY = given
    assert PLATFORM.payment_v3("A-1", 100).post(client, URL).status_code == 404
    assert PLATFORM.payment_v2("A-1", 100).post(client, URL).status_code == 404


def test_keys_are_parsed_once_and_again_when_the_setting_changes(merchant):
    merchant()
    first = conf.merchants["default"].merchant
    assert conf.merchants["default"].merchant is first
    merchant(MCHID="1900000110")
    assert conf.merchants["default"].merchant.mchid == "1900000110"


def test_a_setting_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError):
        _ = conf.VERIFY


PROVIDED = build_merchant("default", **PLATFORM.merchant())


def merchant_for(alias):
    return PROVIDED if alias == "default" else None


def expected_order(payment):
    return ExpectedOrder(amount=100)


def test_a_provider_and_a_resolver_are_named_by_dotted_path(settings, client, shipped):
    settings.WECHATPAY_NOTIFY = {
        "MERCHANTS": "tests.test_conf.merchant_for",
        "ORDER_RESOLVER": "tests.test_conf.expected_order",
    }
    assert PLATFORM.payment_v3("B-1", 100).post(client, URL).status_code == 200
    assert PLATFORM.payment_v3("B-1", 100).post(client, f"{URL}nobody/").status_code == 404
    assert len(shipped.calls) == 1


def test_a_provider_that_cannot_be_imported_is_unavailable(settings, client):
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": "tests.test_conf.nothing"}
    assert PLATFORM.payment_v3("B-1", 100).post(client, URL).status_code == 503


def test_a_resolver_that_cannot_be_imported_is_unavailable(settings, merchant, client):
    merchant()
    settings.WECHATPAY_NOTIFY["ORDER_RESOLVER"] = "tests.test_conf.nothing"
    assert PLATFORM.payment_v3("B-1", 100).post(client, URL).status_code == 503
    assert NotificationLog.objects.get().outcome == "unavailable"


def test_a_merchant_is_built_for_a_provider():
    built = build_merchant("second", **PLATFORM.merchant(APPIDS=["wx1"]))
    assert (built.alias, built.mchid, built.appids) == ("second", PLATFORM.mchid, {"wx1"})
    assert list(built.platform_keys) == [PLATFORM.serial]


def test_a_merchant_with_a_fault_is_not_built():
    with pytest.raises(Misconfigured, match="API_V2_KEY: must be 32"):
        build_merchant("second", **PLATFORM.merchant(API_V2_KEY="short"))


def test_a_merchant_with_a_setting_that_does_not_exist_is_not_built():
    with pytest.raises(Misconfigured, match="unknown settings: APIV3_KEY, mchid; known are MCHID, "):
        build_merchant("second", mchid="1900000110", APIV3_KEY="x" * 32)


def test_no_key_is_in_the_repr_of_a_merchant():
    text = repr(build_merchant("default", **PLATFORM.merchant()))
    assert PLATFORM.mchid in text
    assert PLATFORM.api_v3_key not in text
    assert PLATFORM.api_v2_key not in text
