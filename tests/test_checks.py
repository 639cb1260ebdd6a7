"""The system checks: each finds its one fault and nothing else, and never prints a key."""

import json
import pyexpat
from functools import partial

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.core import mail
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connections
from django.urls import include, path

from tests import certificates
from tests.attacks import SM2_PEM
from tests.certificates import SERIAL
from tests.settings import PLATFORM
from wechatpay_notify import signals
from wechatpay_notify.models import NotificationLog
from wechatpay_notify.testing import Platform
from wechatpay_notify.views import V2NotifyView

SHOP = Platform(serial="PUB_KEY_ID_0114232134912410000000000000")
certificate = partial(certificates.certificate, SHOP.private_key)
PRIVATE_PEM = SHOP.private_key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
NO_FUNCTION = {"a": "dict"}


def expected_order(payment):
    """An ORDER_RESOLVER."""


def public_pem(key):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


class Writes:
    """A database router: model name → alias of its writes."""

    def __init__(self, aliases, default):
        self.aliases, self.default = aliases, default

    def db_for_write(self, model, **hints):
        return self.aliases.get(model.__name__, self.default)


class Urls:
    urlpatterns = []


class MountedUrls:
    urlpatterns = [path("pay/", include([path("notify.php", V2NotifyView.as_view(merchant="default"))]))]


@pytest.fixture(autouse=True)
def _installation(settings, shipped, unexpected, monkeypatch, tmp_path):
    """Everything around the setting under test is right, on whatever machine."""
    monkeypatch.setattr(pyexpat, "version_info", (2, 6, 0))
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": tmp_path}
    }
    settings.SILENCED_SYSTEM_CHECKS = []


@pytest.fixture
def configure(settings):
    def configure(**given):
        right = {"MERCHANTS": {"default": SHOP.merchant()}, "BASE_URL": "https://shop.example"}
        settings.WECHATPAY_NOTIFY = right | given

    configure()
    return configure


@pytest.fixture
def outside_of_tests(monkeypatch):
    """Take away by what the checks know that tests run."""
    monkeypatch.delattr(mail, "outbox")


@pytest.fixture
def configure_merchant(configure):
    return lambda **given: configure(MERCHANTS={"default": SHOP.merchant(**given)})


@pytest.fixture
def database(monkeypatch, settings):
    """Route the app to one more database with these options; nothing connects to it."""

    def add(engine, **options):
        given = {"ENGINE": f"django.db.backends.{engine}", "NAME": "other", "OPTIONS": options}
        monkeypatch.setitem(
            connections.settings, "other", connections.configure_settings({"default": {}, "other": given})["other"]
        )
        settings.DATABASE_ROUTERS = [Writes({}, "other")]

    yield add
    del connections["other"]


def found(*secrets):
    """The findings as {code: message and hint}; asserts that each has a mend, and that no key is in any."""
    messages = run_checks(tags=["wechatpay_notify"])
    texts = {message.id.removeprefix("wechatpay_notify."): f"{message.msg} {message.hint}" for message in messages}
    assert len(texts) == len(messages)
    assert all(message.hint for message in messages)
    assert all(message.id.split(".")[1].startswith("E") == message.is_serious() for message in messages)
    private = PRIVATE_PEM.splitlines()[1]
    for secret in (SHOP.api_v3_key, SHOP.api_v2_key, private, *secrets):
        assert secret[4:20] not in "".join(texts.values())
    return texts


def only(code, words, *secrets):
    texts = found(*secrets)
    assert list(texts) == [code]
    assert words in texts[code]


RIGHT_SETTINGS = [
    {},
    {"MERCHANTS": {"a" * 64: SHOP.merchant(MCHID="1" * 32)}},
    {"MERCHANTS": expected_order},
    {"MERCHANTS": "tests.test_checks.expected_order", "ORDER_RESOLVER": "tests.test_checks.expected_order"},
    {"ORDER_RESOLVER": expected_order, "BASE_URL": None, "DELIVERY": "inline"},
    {"DELIVERY": "deferred"},
    {"DELIVERY": "tests.test_checks.expected_order"},
    {"ANSWERS": {"v2.SCAN": expected_order, "PARKING_FEE.QUERY_TRANS_INFO": "tests.test_checks.expected_order"}},
    {"SOURCE_NETWORKS": "published", "SOURCE_POLICY": "log", "TRUSTED_PROXIES": ["127.0.0.1", "2001:db8::/32"]},
    {"SOURCE_NETWORKS": ("101.226.103.0/25",), "SOURCE_POLICY": "reject", "TRUSTED_PROXIES": []},
    {"HEALTH_TOKEN": "x" * 16},
    {"INLINE_SECONDS": 4.5, "TIMESTAMP_TOLERANCE": 1, "MAX_BODY_BYTES": 1},
    {"INLINE_SECONDS": 0.1, "TIMESTAMP_TOLERANCE": 300, "REJECTED_LOG_PER_MINUTE": 0, "REJECTED_LOG_KEEP": 0},
]
RIGHT_MERCHANTS = [
    {"API_V2_KEY": None},
    {"API_V3_KEY": None, "PLATFORM_KEYS": None, "V2_SIGN_TYPE": "HMAC-SHA256"},
    {"API_V3_KEY": [SHOP.api_v3_key, "n" * 32], "API_V2_KEY": (SHOP.api_v2_key, "n" * 32)},
    {"MCHID": 1900000109, "APPIDS": "wx1", "SUB_MCHIDS": ["1900000110", 1900000111]},
    {"APPIDS": {"wx1"}, "SUB_MCHIDS": None},
    {"PLATFORM_KEYS": {SERIAL: certificate()}},
    {"PLATFORM_KEYS": {"71:32:d7": certificate(serial="7132D7"), SHOP.serial: SHOP.public_pem()}},
    {"PLATFORM_KEYS": {SERIAL.lower(): certificate(valid_until=31).encode()}},
]


@pytest.mark.parametrize("given", RIGHT_SETTINGS)
def test_right_settings_give_no_message(configure, given):
    configure(**given)
    assert found() == {}


@pytest.mark.parametrize("given", RIGHT_MERCHANTS)
def test_a_right_merchant_gives_no_message(configure_merchant, given):
    configure_merchant(**given)
    assert found() == {}


def test_a_platform_key_may_lie_in_a_file(configure_merchant, tmp_path):
    pem = tmp_path / "pub_key.pem"
    pem.write_text(SHOP.public_pem())
    for given in (pem, str(pem)):
        configure_merchant(PLATFORM_KEYS={SHOP.serial: given})
        assert found() == {}


@pytest.mark.parametrize("given", [None, [], "text"])
def test_the_setting_must_be_a_dict(settings, given):
    settings.WECHATPAY_NOTIFY = given
    only("E001", "WECHATPAY_NOTIFY is")


def test_the_setting_must_be_there(settings):
    del settings.WECHATPAY_NOTIFY
    only("E001", "WECHATPAY_NOTIFY is missing")


def test_an_empty_setting_has_no_merchants(settings):
    settings.WECHATPAY_NOTIFY = {}
    only("E003", "MERCHANTS")


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ({"MERCHANT": {}}, "E002", "Did you mean MERCHANTS?"),
        ({"inline_seconds": 3}, "E002", "Did you mean INLINE_SECONDS?"),
        ({"VERIFY": False}, "E002", "Known are MERCHANTS, "),
        ({"MERCHANTS": {}}, "E003", "missing or empty"),
        ({"MERCHANTS": None}, "E003", "missing or empty"),
        ({"MERCHANTS": ""}, "E003", "missing or empty"),
        ({"MERCHANTS": [SHOP.merchant()]}, "E003", "is a list"),
        ({"MERCHANTS": "tests.nowhere.merchant_for"}, "E004", '["MERCHANTS"] cannot be imported'),
        ({"MERCHANTS": "tests.test_checks.nothing"}, "E004", '["MERCHANTS"] cannot be imported'),
        ({"MERCHANTS": "tests.test_checks.NO_FUNCTION"}, "E004", "names a dict, not a callable"),
        ({"MERCHANTS": json.dumps(SHOP.merchant())}, "E004", "no dotted path"),
        ({"ORDER_RESOLVER": "expected_order"}, "E004", '["ORDER_RESOLVER"] cannot be imported'),
        ({"ORDER_RESOLVER": ""}, "E004", "no dotted path"),
        ({"ORDER_RESOLVER": 5}, "E004", "is a int, not callable"),
        ({"ANSWERS": None}, "E025", "is a NoneType, not a dict"),
        ({"ANSWERS": "shop.answers"}, "E025", "is a str, not a dict"),
        ({"ANSWERS": {"v2.scan": expected_order}}, "E026", "Did you mean v2.SCAN?"),
        (
            {"ANSWERS": {"PARKING_FEE.QUERY_TRANS": expected_order}},
            "E026",
            "Did you mean PARKING_FEE.QUERY_TRANS_INFO?",
        ),
        ({"ANSWERS": {"COUPON.USE": expected_order}}, "E026", "unknown event type 'COUPON.USE'"),
        ({"ANSWERS": {"v2.SCAN": None}}, "E004", '["ANSWERS"]["v2.SCAN"] is a NoneType, not callable'),
        ({"ANSWERS": {"v2.SCAN": "tests.nowhere.prepay"}}, "E004", '["ANSWERS"]["v2.SCAN"] cannot be imported'),
        ({"ANSWERS": {"v2.SCAN": "tests.test_checks.NO_FUNCTION"}}, "E004", "names a dict, not a callable"),
        ({"DELIVERY": "defered"}, "E020", '["DELIVERY"] cannot be imported'),
        ({"DELIVERY": "shop.tasks.nowhere"}, "E020", '["DELIVERY"] cannot be imported'),
        ({"DELIVERY": None}, "E020", '["DELIVERY"] is a NoneType'),
        *(({"INLINE_SECONDS": wrong}, "E021", '["INLINE_SECONDS"]') for wrong in (0, 4.6, -1, "3", None, True)),
        ({"INLINE_SECONDS": float("nan")}, "E021", '["INLINE_SECONDS"]'),
        *(({"TIMESTAMP_TOLERANCE": wrong}, "E022", "from 1 to 3600") for wrong in (0, 3601, "300", 1.5, None, True)),
        ({"TIMESTAMP_TOLERANCE": 301}, "W020", "is 301"),
        *(({"MAX_BODY_BYTES": wrong}, "E023", '["MAX_BODY_BYTES"]') for wrong in (0, -1, "1", 1e6, None)),
        *(({"REJECTED_LOG_PER_MINUTE": wrong}, "E023", '["REJECTED_LOG_PER_MINUTE"]') for wrong in (-1, None)),
        *(({"REJECTED_LOG_KEEP": wrong}, "E023", '["REJECTED_LOG_KEEP"]') for wrong in (-1, "all", False)),
        ({"SOURCE_NETWORKS": "10.0.0.0/8"}, "E027", "SOURCE_NETWORKS is a str, not a list"),
        ({"SOURCE_NETWORKS": []}, "E027", "SOURCE_NETWORKS is empty"),
        ({"SOURCE_NETWORKS": {"10.0.0.0/8": "x"}}, "E027", "SOURCE_NETWORKS is a dict"),
        ({"SOURCE_NETWORKS": ["10.0.0.0/8", "10.1.2.3/24"]}, "E027", "SOURCE_NETWORKS[1] has bits set beyond its"),
        ({"SOURCE_NETWORKS": ["10.1.2.3/24"]}, "E027", "the network is 10.1.2.0/24"),
        ({"SOURCE_NETWORKS": ["2001:db8::1/32"]}, "E027", "the network is 2001:db8::/32"),
        *(({"SOURCE_NETWORKS": [wrong]}, "E027", "is no network") for wrong in ("published", "10.0.0.0/33", "", "a.b")),
        ({"SOURCE_NETWORKS": [167772161]}, "E027", "SOURCE_NETWORKS[0] is a int, not text"),
        ({"SOURCE_NETWORKS": ["10.0.0.0/8"], "SOURCE_POLICY": "Reject"}, "E028", '"log" nor "reject"'),
        ({"SOURCE_POLICY": None}, "E028", '"log" nor "reject"'),
        ({"SOURCE_NETWORKS": "published", "SOURCE_POLICY": "reject"}, "E028", "only logged"),
        ({"SOURCE_POLICY": "reject"}, "W021", "no address is refused"),
        ({"TRUSTED_PROXIES": "10.0.0.1"}, "E029", "TRUSTED_PROXIES is a str, not a list"),
        ({"TRUSTED_PROXIES": None}, "E029", "TRUSTED_PROXIES is a NoneType"),
        ({"TRUSTED_PROXIES": ["10.0.0.1/8"]}, "E029", "the network is 10.0.0.0/8"),
        *(({"TRUSTED_PROXIES": ["10.0.0.1", wrong]}, "E029", "everybody") for wrong in ("0.0.0.0/0", "::/0")),
        *(({"HEALTH_TOKEN": wrong}, "E032", "at least 16 ASCII") for wrong in ("", "x" * 15, "ключ" * 8, 5, b"x" * 20)),
        ({"HEALTH_TOKEN": "sixteen letters, and spaces"}, "E032", "without spaces"),
        ({"BASE_URL": "http://localhost:8000"}, "E024", "public name"),
        ({"BASE_URL": "https://192.168.1.2"}, "E024", "public address"),
        ({"BASE_URL": "https://shop.example/?a=b"}, "E024", "query string"),
        ({"BASE_URL": "shop.example"}, "E024", "must begin with https://"),
        ({"BASE_URL": "https://shop.example/" + "a" * 250}, "E024", "allowed are 255"),
    ],
)
def test_a_wrong_setting_is_named_with_its_mend(configure, given, code, words):
    configure(**given)
    only(code, words)


def test_a_module_that_breaks_is_named_but_not_quoted(configure, monkeypatch, tmp_path):
    (tmp_path / "broken_shop.py").write_text(f"raise ValueError('{SHOP.api_v3_key}')")
    monkeypatch.syspath_prepend(tmp_path)
    configure(ORDER_RESOLVER="broken_shop.expected_order")
    only("E004", "'broken_shop.expected_order' raises ValueError")


MERCHANT = 'WECHATPAY_NOTIFY["MERCHANTS"]["default"]'


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ({"APIV3_KEY": "x"}, "E006", "Did you mean API_V3_KEY?"),
        ({"verify": False}, "E006", "Known are MCHID, "),
        *(({"MCHID": wrong}, "E008", "MCHID") for wrong in (None, "", "wx19", "１９００", "1" * 33, [])),
        ({"APPIDS": []}, "E009", "APPIDS"),
        ({"APPIDS": ["wx1", ""]}, "E009", "APPIDS"),
        ({"SUB_MCHIDS": " "}, "E009", "SUB_MCHIDS"),
        ({"SUB_MCHIDS": {"1900000110": "x"}}, "E009", "SUB_MCHIDS"),
        ({"API_V3_KEY": SHOP.api_v3_key[:31]}, "E010", "API_V3_KEY must be 32 ASCII characters (found: 31)"),
        ({"API_V3_KEY": f"{SHOP.api_v3_key}\n"}, "E010", "(found: 33 with the white space around it)"),
        ({"API_V3_KEY": "密" * 32}, "E010", "(found: 32, not all ASCII)"),
        ({"API_V3_KEY": SHOP.api_v3_key.encode()}, "E010", "(found: bytes)"),
        ({"API_V3_KEY": ""}, "E010", "(found: 0)"),
        ({"API_V3_KEY": []}, "E010", "(found: none)"),
        ({"API_V3_KEY": [SHOP.api_v3_key, SHOP.api_v3_key[:16]]}, "E010", "(found: 32, 16)"),
        ({"API_V2_KEY": SHOP.api_v2_key * 2}, "E011", "API_V2_KEY must be 32 ASCII characters (found: 64)"),
        ({"API_V2_KEY": 5}, "E011", "(found: int)"),
        ({"API_V2_KEY": ()}, "E011", "(found: none)"),
        ({"V2_SIGN_TYPE": "SHA256"}, "E012", "V2_SIGN_TYPE"),
        ({"V2_SIGN_TYPE": None}, "E012", "V2_SIGN_TYPE"),
        ({"PLATFORM_KEYS": None}, "E013", "PLATFORM_KEYS is missing beside API_V3_KEY"),
        ({"PLATFORM_KEYS": {}}, "E013", "PLATFORM_KEYS is missing beside API_V3_KEY"),
        ({"PLATFORM_KEYS": SHOP.public_pem()}, "E013", "PLATFORM_KEYS is a str"),
        ({"API_V2_KEY": SHOP.api_v2_key, "V2_SIGN_TYPE": "MD5", "API_V3_KEY": None}, "W016", "without API_V3_KEY"),
        ({"API_V3_KEY": None, "API_V2_KEY": None, "PLATFORM_KEYS": None}, "W015", "neither"),
        ({"API_V2_KEY": "192006250b4c09247ec02edce69f6a2d"}, "E017", "API_V2_KEY is a key out of"),
        ({"API_V2_KEY": [SHOP.api_v2_key, "8934e7d15453e97507ef794cf7b0519d"]}, "E017", "API_V2_KEY is a key out of"),
        ({"API_V3_KEY": "192006250b4c09247ec02edce69f6a2d"}, "E017", "API_V3_KEY is a key out of"),
        ({"PLATFORM_KEYS": {PLATFORM.serial: PLATFORM.public_pem()}}, "E018", "DEBUG is False"),
    ],
)
@pytest.mark.usefixtures("outside_of_tests")
def test_a_wrong_merchant_setting_is_named_with_its_mend(configure_merchant, given, code, words):
    configure_merchant(**given)
    only(code, words, "192006250b4c09247ec02edce69f6a2d", "8934e7d15453e97507ef794cf7b0519d")
    assert MERCHANT in found()[code]


@pytest.mark.parametrize(
    ("serial", "pem", "words"),
    [
        (SHOP.serial, "-----BEGIN PUBLIC KEY-----\nrubbish\n-----END PUBLIC KEY-----", "cannot be read"),
        (SHOP.serial, certificate()[:300], "cannot be read"),
        (SHOP.serial, PRIVATE_PEM, "private key (apiclient_key.pem?)"),
        (SHOP.serial, "wechatpay/pub_key.pem", "the file wechatpay/pub_key.pem cannot be read (No such file"),
        (SHOP.serial, "/run/secrets/wechatpay", "the file /run/secrets/wechatpay cannot be read"),
        (SHOP.serial, SHOP.api_v3_key, "the file cannot be read"),
        (SHOP.serial, PRIVATE_PEM.splitlines()[1], "the file cannot be read"),
        (SHOP.serial, "pub\0key", "the file cannot be read (no file name)"),
        (SHOP.serial, "", "neither PEM text nor a path"),
        (SHOP.serial, 5, "neither PEM text nor a path"),
        (SHOP.serial, public_pem(rsa.generate_private_key(65537, 1024)), "1024 bits"),
        (SHOP.serial, public_pem(ec.generate_private_key(ec.SECP256R1())), "no RSA key"),
        (SHOP.serial, SM2_PEM, "SM2 key (国密), and SM2 is not supported; ask WeChat Pay for an RSA certificate"),
        (SHOP.serial, SM2_PEM, "(RSA, not SM2)"),
        ("not-a-serial", SHOP.public_pem(), "neither a certificate serial"),
    ],
)
def test_a_platform_key_that_cannot_be_used_is_an_error(configure_merchant, serial, pem, words):
    configure_merchant(PLATFORM_KEYS={serial: pem})
    only("E014", words)
    assert f"PLATFORM_KEYS['{serial}'] cannot be used" in found()["E014"]


@pytest.mark.parametrize(
    ("serial", "pem", "code", "words"),
    [
        (SERIAL, certificate("1900000109"), "E015", "apiclient_cert.pem"),
        (SERIAL, certificate("1230000109"), "E015", "apiclient_cert.pem"),
        ("7132D7", certificate(serial=SERIAL), "W010", f"is the certificate {SERIAL}"),
        ("PUB_KEY_ID_0114232134912410000000000000", certificate(), "W010", f"is the certificate {SERIAL}"),
        (SERIAL, certificate(valid_until=29.5), "W011", "expires in 29.5 days"),
        (SERIAL, certificate(valid_until=6.5), "W012", "expires in 6.5 days"),
        (SERIAL, certificate(valid_until=0.5), "W013", "expires in 0.5 days"),
        (SERIAL, certificate(valid_until=-0.5), "E016", "expired certificate"),
        (SERIAL, certificate(valid_from=0.5), "W014", "not valid yet"),
        ("abcd", certificate(serial="abcd", valid_until=-1), "E016", 'PLATFORM_KEYS["ABCD"]'),
    ],
)
def test_a_certificate_is_looked_into(configure_merchant, serial, pem, code, words):
    configure_merchant(PLATFORM_KEYS={serial: pem})
    only(code, words)


def test_an_expired_certificate_beside_a_working_key_is_a_warning(configure_merchant):
    keys = {SERIAL: certificate(valid_until=-0.5), SHOP.serial: SHOP.public_pem()}
    configure_merchant(PLATFORM_KEYS=keys)
    only("W017", "expired certificate")


@pytest.fixture
def directory(configure_merchant, tmp_path):
    """A directory of platform keys with one public key in it, and the merchant that names it."""
    directory = tmp_path / "keys"
    directory.mkdir()
    (directory / f"{SHOP.serial}.pem").write_text(SHOP.public_pem())
    configure_merchant(PLATFORM_KEYS=directory)
    return directory


def test_a_directory_of_right_keys_gives_no_message(directory, configure_merchant):
    (directory / f"wechatpay_{SERIAL}.pem").write_text(certificate())
    (directory / "..2026_11_22").mkdir()  # as Kubernetes mounts a secret
    assert found() == {}
    configure_merchant(PLATFORM_KEYS=str(directory))
    assert found() == {}


def test_a_directory_without_a_key_is_an_error(directory, configure_merchant):
    pem = directory / f"{SHOP.serial}.pem"
    configure_merchant(PLATFORM_KEYS=pem)
    only("E013", "cannot be read (Not a directory)")
    pem.unlink()
    configure_merchant(PLATFORM_KEYS=directory)
    only("E013", f"PLATFORM_KEYS names a directory {directory} that holds no key that can be used")
    configure_merchant(PLATFORM_KEYS=str(directory / "nowhere"))
    only("E013", f"{directory}/nowhere that cannot be read (No such file or directory)")
    configure_merchant(PLATFORM_KEYS="keys\0")
    only("E013", "cannot be read (no directory name)")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("README", "keys of WeChat Pay", "its name does not end in .pem"),
        (f"{SHOP.serial}.pem.bak", SHOP.public_pem(), "its name does not end in .pem"),
        (".gitkeep", "", "it is hidden"),
        (".PUB_KEY_ID_01.pem", SHOP.public_pem(), "it is hidden"),
        ("pub_key.pem", SHOP.public_pem(), "its name is not the key's id (PUB_KEY_ID_….pem)"),
        ("PUB_KEY_ID_01 (1).pem", SHOP.public_pem(), "its name is not the key's id"),
        ("PUB_KEY_ID_01.pem", SHOP.public_pem()[:200], "damaged, cut"),
        ("PUB_KEY_ID_01.pem", "", "damaged, cut"),
        ("PUB_KEY_ID_01.pem", SHOP.public_pem() + "\n" * 70_000, "more than 65536 bytes"),
        ("apiclient_key.pem", PRIVATE_PEM, "private key (apiclient_key.pem?)"),
        ("apiclient_cert.pem", certificate("1900000109"), "a merchant's own certificate (apiclient_cert.pem?)"),
        ("schlüssel.txt", "", "'schl\\xfcssel.txt'"),
    ],
)
def test_a_file_that_is_no_platform_key_is_named_with_its_mend(directory, name, content, words):
    (directory / name).write_text(content)
    only("W018", words)
    assert "belong WeChat Pay public keys (PUB_KEY_ID_….pem) and platform certificates" in found()["W018"]


@pytest.mark.parametrize(
    ("valid_from", "valid_until", "code"),
    [(-100, 29.5, "W011"), (-100, 6.5, "W012"), (-100, 0.5, "W013"), (0.5, 100, "W014"), (-100, -0.5, "W017")],
)
def test_a_certificate_in_a_directory_is_looked_into(directory, valid_from, valid_until, code):
    (directory / "platform.pem").write_text(certificate(valid_from=valid_from, valid_until=valid_until))
    only(code, f'PLATFORM_KEYS["{SERIAL}"]')


def test_a_directory_of_expired_certificates_is_an_error(directory):
    (directory / f"{SHOP.serial}.pem").write_text(certificate(valid_until=-0.5))
    only("E016", "expired certificate")


@pytest.mark.usefixtures("outside_of_tests")
def test_the_development_keys_in_a_directory_are_found_out(directory):
    (directory / f"{PLATFORM.serial}.pem").write_text(PLATFORM.public_pem())
    only("E018", "DEBUG is False")


def test_the_development_keys_may_be_used_in_tests(configure_merchant):
    configure_merchant(PLATFORM_KEYS={PLATFORM.serial: PLATFORM.public_pem()})
    assert "E018" not in found()


def test_the_development_keys_may_be_used_in_development(configure, settings):
    configure(MERCHANTS={"default": PLATFORM.merchant()})
    settings.DEBUG = True
    assert found() == {}


@pytest.mark.parametrize("alias", ["", "a/b", "a" * 65, 5, None])
def test_an_alias_must_fit_into_the_url_and_the_log(configure, alias):
    configure(MERCHANTS={alias: SHOP.merchant()}, BASE_URL=None)
    only("E007", "1 to 64 characters")


@pytest.mark.parametrize("raw", [None, "text", [SHOP.api_v3_key]])
def test_a_merchant_must_be_a_dict(configure, raw):
    configure(MERCHANTS={"default": SHOP.merchant(), "second": raw})
    only("E005", '["MERCHANTS"]["second"]')


def test_every_merchant_is_looked_at(configure):
    wrong = SHOP.merchant(MCHID="")
    configure(MERCHANTS={"first": wrong, "second": wrong, "third": SHOP.merchant()})
    messages = run_checks(tags=["wechatpay_notify"])
    assert [alias in message.msg for alias, message in zip(("first", "second"), messages, strict=True)] == [True, True]


@pytest.mark.parametrize(
    "given",
    [
        {"V2_SIGN_TYPE": SHOP.api_v2_key},
        {"MCHID": SHOP.api_v2_key},
        {"PLATFORM_KEYS": SHOP.api_v3_key},
        {"PLATFORM_KEYS": {SHOP.serial: SHOP.api_v3_key}},
        {"API_V3_KEY": PRIVATE_PEM},
    ],
)
def test_a_key_in_the_wrong_place_is_not_printed(configure_merchant, given):
    configure_merchant(**given)
    assert found()


@pytest.mark.parametrize("name", ["BASE_URL", "DELIVERY", "SOURCE_NETWORKS", "SOURCE_POLICY", "TRUSTED_PROXIES"])
def test_a_password_in_a_url_is_not_printed(configure, name):
    configure(**{name: "https://user:correcthorsebatterystaple@shop.example"})
    assert found("correcthorsebatterystaple")


@pytest.mark.parametrize("name", ["SOURCE_NETWORKS", "TRUSTED_PROXIES"])
def test_a_password_among_networks_is_not_printed(configure, name):
    configure(**{name: ["https://user:correcthorsebatterystaple@shop.example"]})
    assert found("correcthorsebatterystaple")


def test_without_a_receiver_nobody_is_told(configure):
    signals.payment_confirmed.disconnect(dispatch_uid="shop.ship")
    only("W030", "payment_confirmed")


def test_money_that_does_not_fit_must_be_told_to_somebody(configure):
    signals.payment_unexpected.disconnect(dispatch_uid="shop.unexpected")
    only("W036", "mail_admins")


def test_a_receiver_of_another_sender_does_not_count(configure):
    signals.payment_confirmed.disconnect(dispatch_uid="shop.ship")
    signals.payment_confirmed.connect(expected_order, sender=NotificationLog)
    only("W030", "payment_confirmed")
    signals.payment_confirmed.disconnect(expected_order, sender=NotificationLog)


def test_urls_without_a_callback_are_a_warning(configure, settings):
    settings.ROOT_URLCONF = Urls
    only("W031", 'include("wechatpay_notify.urls")')


def test_a_callback_mounted_on_a_path_of_the_shop_is_found(configure, settings):
    settings.ROOT_URLCONF = MountedUrls
    assert found() == {}


def test_settings_without_urls_need_no_callback(configure, settings):
    settings.ROOT_URLCONF = None
    configure(BASE_URL=None)
    assert found() == {}


def test_a_router_that_splits_the_ledger_is_an_error(configure, settings):
    settings.DATABASE_ROUTERS = [Writes({"NotificationLog": "logs"}, "default")]
    only("E030", "NotificationLog to logs")


@pytest.mark.parametrize(
    ("engine", "options", "codes"),
    [
        ("sqlite3", {"transaction_mode": "IMMEDIATE", "timeout": 3}, []),
        ("sqlite3", {"transaction_mode": "exclusive", "timeout": 0.5}, []),
        ("sqlite3", {"timeout": 3}, ["W032"]),
        ("sqlite3", {"transaction_mode": "DEFERRED", "timeout": 3}, ["W032"]),
        ("sqlite3", {"transaction_mode": "IMMEDIATE", "timeout": 20}, ["W033"]),
        ("sqlite3", {"transaction_mode": "IMMEDIATE"}, ["W033"]),
        ("sqlite3", {}, ["W032", "W033"]),
        ("dummy", {}, []),
    ],
)
def test_sqlite_must_lock_early_and_wait_briefly(configure, database, engine, options, codes):
    database(engine, **options)
    texts = found()
    assert list(texts) == codes
    for text in texts.values():
        assert 'DATABASES["other"]' in text
        for option in ('"transaction_mode": "IMMEDIATE"', '"timeout": 2', '"init_command": "PRAGMA journal_mode=WAL;"'):
            assert option in text


@pytest.mark.parametrize(
    ("backend", "words"), [("locmem.LocMemCache", "each process"), ("dummy.DummyCache", "counts nothing")]
)
def test_a_cache_that_workers_do_not_share_is_a_warning_in_production(configure, settings, monkeypatch, backend, words):
    settings.CACHES = {"default": {"BACKEND": f"django.core.cache.backends.{backend}"}}
    assert found() == {}  # while tests run
    monkeypatch.delattr(mail, "outbox")
    only("W034", words)
    settings.DEBUG = True
    assert found() == {}


@pytest.mark.parametrize(("version", "codes"), [((2, 5, 0), ["W035"]), ((2, 6, 0), [])])
def test_an_old_xml_parser_is_a_warning(configure, monkeypatch, version, codes):
    monkeypatch.setattr(pyexpat, "version_info", version)
    assert list(found()) == codes


def test_manage_py_check_fails_on_an_error_and_passes_when_it_is_mended(configure_merchant, capsys):
    configure_merchant(API_V3_KEY="too short")
    with pytest.raises(SystemCheckError, match=r"wechatpay_notify\.E010"):
        call_command("check", tags=["wechatpay_notify"])
    configure_merchant()
    call_command("check", tags=["wechatpay_notify"])
    assert "no issues" in capsys.readouterr().out
