"""Platform keys in a directory: what is put there counts at once, and nothing put there by mistake takes a key away."""

import dataclasses
import errno
import os
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from tests.certificates import SERIAL, certificate
from tests.settings import PLATFORM
from wechatpay_notify.conf import build_merchant
from wechatpay_notify.models import NotificationLog
from wechatpay_notify.protocol import keys
from wechatpay_notify.protocol.errors import Misconfigured

pytestmark = pytest.mark.django_db

PUBLIC_KEY = dataclasses.replace(PLATFORM, serial="PUB_KEY_ID_0114232134912410000000000000")
RENEWED = dataclasses.replace(PUBLIC_KEY, private_key=generate_private_key(65537, 2048))
CERTIFICATE = dataclasses.replace(PLATFORM, serial=SERIAL, private_key=generate_private_key(65537, 2048))
OTHER_SERIAL = "5A" * 20
PEM = f"{PUBLIC_KEY.serial}.pem"


@pytest.fixture
def directory(settings, tmp_path):
    """The directory that the merchant's PLATFORM_KEYS names; nothing in it yet."""
    made = tmp_path / "keys"
    made.mkdir()
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": PLATFORM.merchant(PLATFORM_KEYS=made)}}
    return made


@pytest.fixture
def outcome(client):
    """Post a genuine event signed by this platform; what it came to."""

    def outcome(platform):
        platform.v3("COUPON.USE", {"coupon_id": "C-1"}).post(client, "/wechatpay/notify/")
        return NotificationLog.objects.latest("pk").outcome

    return outcome


@pytest.fixture
def warnings(caplog):
    def warnings():
        return [record.getMessage() for record in caplog.records if "PLATFORM_KEYS:" in record.getMessage()]

    return warnings


@pytest.fixture
def parsed(monkeypatch):
    """The names of the files parsed."""
    names, parse = [], keys.key_of_file
    monkeypatch.setattr(keys, "key_of_file", lambda stem, pem: names.append(stem) or parse(stem, pem))
    return names


def test_an_empty_directory_is_misconfigured_until_a_key_is_put_there(directory, outcome):
    assert outcome(PUBLIC_KEY) == "misconfigured"
    assert "holds no key that can be used" in NotificationLog.objects.get().detail
    (directory / PEM).write_text(PUBLIC_KEY.public_pem())
    assert outcome(PUBLIC_KEY) == "received"


@pytest.mark.parametrize("form", [str, Path])
def test_a_directory_that_is_not_there_yet_is_misconfigured_until_it_is(settings, tmp_path, outcome, form):
    made = tmp_path / "later"
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": PLATFORM.merchant(PLATFORM_KEYS=form(made))}}
    assert outcome(PUBLIC_KEY) == "misconfigured"
    made.mkdir()
    (made / PEM).write_text(PUBLIC_KEY.public_pem())
    assert outcome(PUBLIC_KEY) == "received"


def test_a_merchant_without_keys_takes_v2_all_the_same(directory, client):
    PLATFORM.payment_v2("A-1", 100).post(client, "/wechatpay/notify/")
    assert NotificationLog.objects.get().outcome == "unknown_order"


def test_a_key_counts_when_its_file_is_there_and_no_longer(directory, outcome):
    (directory / PEM).write_text(PUBLIC_KEY.public_pem())
    assert outcome(CERTIFICATE) == "unknown_serial"
    added = directory / "wechatpay_platform.pem"
    added.write_text(certificate(CERTIFICATE.private_key))
    assert outcome(CERTIFICATE) == outcome(PUBLIC_KEY) == "received"
    added.unlink()
    assert outcome(CERTIFICATE) == "unknown_serial"
    assert outcome(PUBLIC_KEY) == "received"


def test_a_replaced_key_counts_at_once(directory, outcome):
    (directory / PEM).write_text(PUBLIC_KEY.public_pem())
    assert outcome(PUBLIC_KEY) == "received"
    (directory / PEM).write_text(RENEWED.public_pem())
    assert outcome(RENEWED) == "received"
    assert outcome(PUBLIC_KEY) == "signature_invalid"


def test_a_key_of_the_same_size_and_age_counts_at_once(directory, outcome):
    pem, draft = directory / PEM, directory / "draft"
    pem.write_text(PUBLIC_KEY.public_pem())
    draft.write_text(RENEWED.public_pem())
    times = pem.stat().st_atime_ns, pem.stat().st_mtime_ns
    assert outcome(PUBLIC_KEY) == "received"
    os.utime(draft, ns=times)
    draft.replace(pem)
    assert outcome(RENEWED) == "received"


def test_a_directory_of_links_is_switched_as_kubernetes_does(directory, outcome):
    for version, platform in (("..1", PUBLIC_KEY), ("..2", RENEWED)):
        (directory / version).mkdir()
        (directory / version / PEM).write_text(platform.public_pem())
    (directory / "..data").symlink_to("..1")
    (directory / PEM).symlink_to(f"..data/{PEM}")
    assert outcome(PUBLIC_KEY) == "received"
    (directory / "..new").symlink_to("..2")
    (directory / "..new").replace(directory / "..data")
    assert outcome(RENEWED) == "received"


def test_a_half_written_file_keeps_the_key_read_from_it_before(directory, outcome, warnings):
    pem, whole = directory / PEM, RENEWED.public_pem()
    pem.write_text(PUBLIC_KEY.public_pem())
    assert outcome(PUBLIC_KEY) == "received"
    for size in (0, 1, 200, len(whole) - 30):
        pem.write_text(whole[:size])
        assert [outcome(PUBLIC_KEY) for _ in range(2)] == ["received"] * 2
    assert len(warnings()) == 4  # one for each state, however many requests saw it
    assert all(f"'{PEM}' cannot be used (the PEM cannot be read" in line for line in warnings())
    pem.write_text(whole)
    assert outcome(RENEWED) == "received"
    assert outcome(PUBLIC_KEY) == "signature_invalid"


def test_a_half_written_file_beside_a_good_one_changes_nothing(directory, outcome, warnings):
    (directory / PEM).write_text(PUBLIC_KEY.public_pem())
    (directory / "platform.pem").write_text(certificate(CERTIFICATE.private_key)[:500])
    assert outcome(PUBLIC_KEY) == "received"
    assert outcome(CERTIFICATE) == "unknown_serial"
    assert warnings() == []


def test_an_expired_certificate_displaces_nothing(directory, outcome, warnings):
    pem, copies = directory / "platform.pem", [directory / "0.pem", directory / "z.pem"]
    pem.write_text(certificate(CERTIFICATE.private_key))
    assert outcome(CERTIFICATE) == "received"
    for copy in copies:
        copy.write_text(certificate(CERTIFICATE.private_key, valid_until=-1))
    (directory / "old.pem").write_text(certificate(RENEWED.private_key, serial=OTHER_SERIAL, valid_until=-1))
    assert outcome(CERTIFICATE) == "received"
    pem.write_text(certificate(RENEWED.private_key, serial=OTHER_SERIAL, valid_until=-1))
    assert outcome(CERTIFICATE) == "received"
    assert outcome(dataclasses.replace(RENEWED, serial=OTHER_SERIAL)) == "unknown_serial"
    assert len(warnings()) == 1
    assert "its certificate has expired" in warnings()[0]


def test_an_emptied_directory_keeps_its_keys_and_says_so_once(directory, outcome, warnings):
    pem = directory / PEM
    pem.write_text(PUBLIC_KEY.public_pem())
    assert outcome(PUBLIC_KEY) == "received"
    pem.unlink()
    assert [outcome(PUBLIC_KEY) for _ in range(3)] == ["received"] * 3
    (directory / "README").touch()
    assert outcome(PUBLIC_KEY) == "received"
    assert len(warnings()) == 1
    assert "holds no key that can be used; the keys read before stay" in warnings()[0]
    (directory / "platform.pem").write_text(certificate(CERTIFICATE.private_key))
    assert outcome(CERTIFICATE) == "received"
    assert outcome(PUBLIC_KEY) == "unknown_serial"


def test_an_unreadable_directory_keeps_its_keys_and_says_so_each_time_it_happens(directory, outcome, warnings):
    (directory / PEM).write_text(PUBLIC_KEY.public_pem())
    assert outcome(PUBLIC_KEY) == "received"
    for times in (1, 2):
        away = directory.rename(directory.with_name("away"))
        assert [outcome(PUBLIC_KEY) for _ in range(3)] == ["received"] * 3
        assert outcome(CERTIFICATE) == "unknown_serial"
        away.rename(directory)
        assert outcome(PUBLIC_KEY) == "received"
        assert len(warnings()) == times
    assert "cannot be read (No such file or directory); the keys read before stay" in warnings()[0]


PRIVATE = PUBLIC_KEY.private_key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
STRAY = {
    "pub_key.pem": PUBLIC_KEY.public_pem(),
    f".{PEM}": PUBLIC_KEY.public_pem(),
    f"{PEM}.bak": PUBLIC_KEY.public_pem(),
    f"{PEM}~": PUBLIC_KEY.public_pem(),
    f"{PUBLIC_KEY.serial}.PEM": PUBLIC_KEY.public_pem(),
    f"{PUBLIC_KEY.serial} (1).pem": PUBLIC_KEY.public_pem(),
    "apiclient_key.pem": PRIVATE,
    PEM: PRIVATE,
    f"{SERIAL}.pem": PUBLIC_KEY.public_pem(),
}


@pytest.mark.parametrize("name", STRAY)
def test_a_file_that_is_no_platform_key_is_never_used(directory, outcome, name):
    (directory / "platform.pem").write_text(certificate(CERTIFICATE.private_key, serial=OTHER_SERIAL))
    (directory / name).write_text(STRAY[name])
    assert outcome(dataclasses.replace(CERTIFICATE, serial=OTHER_SERIAL)) == "received"
    for serial in (PUBLIC_KEY.serial, SERIAL, name.removesuffix(".pem")):
        assert outcome(dataclasses.replace(PUBLIC_KEY, serial=serial)) == "unknown_serial"


@pytest.mark.parametrize("name", ["apiclient_cert.pem", PEM, f"wechatpay_{SERIAL}.pem"])
def test_the_merchants_own_certificate_is_never_used(directory, outcome, name):
    (directory / name).write_text(certificate(PUBLIC_KEY.private_key, PLATFORM.mchid))
    assert outcome(dataclasses.replace(PUBLIC_KEY, serial=SERIAL)) == "misconfigured"
    (directory / "PUB_KEY_ID_1.pem").write_text(RENEWED.public_pem())
    assert outcome(dataclasses.replace(PUBLIC_KEY, serial=SERIAL)) == "unknown_serial"


@pytest.mark.parametrize("name", [f"wechatpay_{SERIAL}.pem", f"{SERIAL.lower()}.pem", "cert.pem", PEM])
def test_a_certificate_is_known_by_its_own_serial(directory, outcome, name):
    (directory / name).write_text(certificate(CERTIFICATE.private_key))
    assert outcome(CERTIFICATE) == "received"
    assert outcome(dataclasses.replace(CERTIFICATE, serial=PUBLIC_KEY.serial)) == "unknown_serial"


def test_a_serial_that_begins_with_zeros_is_found(directory, outcome):
    (directory / "platform.pem").write_text(certificate(CERTIFICATE.private_key, serial="7132"))
    assert outcome(dataclasses.replace(CERTIFICATE, serial="7132".zfill(40))) == "received"


def test_what_is_no_regular_file_is_never_waited_for(directory, outcome):
    os.mkfifo(directory / PEM)
    (directory / "PUB_KEY_ID_2.pem").symlink_to("nowhere")
    (directory / "PUB_KEY_ID_3.pem").symlink_to("/dev/zero")
    (directory / "PUB_KEY_ID_4.pem").mkdir()
    assert outcome(PUBLIC_KEY) == "misconfigured"
    (directory / "platform.pem").write_text(certificate(CERTIFICATE.private_key))
    assert outcome(CERTIFICATE) == "received"


def test_a_serial_known_or_not_costs_one_listing_and_no_parsing(directory, outcome, parsed, monkeypatch):
    for number in range(5):
        (directory / f"PUB_KEY_ID_{number}.pem").write_text(PUBLIC_KEY.public_pem())
    (directory / "broken.pem").write_text(PUBLIC_KEY.public_pem()[:200])
    assert outcome(dataclasses.replace(PUBLIC_KEY, serial="PUB_KEY_ID_3")) == "received"
    assert len(parsed) == 6
    parsed.clear()
    listed, read, scandir, opened = [], [], os.scandir, Path.open
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scandir(path))
    monkeypatch.setattr(Path, "open", lambda path, *args: read.append(path) or opened(path, *args))
    for serial, expected in (("PUB_KEY_ID_3", "received"), ("PUB_KEY_ID_9", "unknown_serial")):
        assert outcome(dataclasses.replace(PUBLIC_KEY, serial=serial)) == expected
        assert listed == [directory]
        listed.clear()
    assert parsed == read == []


def test_only_what_changed_is_parsed_again(directory, outcome, parsed):
    for number in range(3):
        (directory / f"PUB_KEY_ID_{number}.pem").write_text(PUBLIC_KEY.public_pem())
    outcome(PUBLIC_KEY)
    parsed.clear()
    (directory / "PUB_KEY_ID_1.pem").write_text(RENEWED.public_pem())
    (directory / "PUB_KEY_ID_2.pem").unlink()
    outcome(PUBLIC_KEY)
    assert parsed == ["PUB_KEY_ID_1"]


def test_a_file_that_could_not_be_read_is_tried_again(directory, outcome, monkeypatch):
    (directory / "platform.pem").write_text(certificate(CERTIFICATE.private_key))
    assert outcome(CERTIFICATE) == "received"
    (directory / PEM).write_text(PUBLIC_KEY.public_pem())

    def no_handle_left(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as full:
        full.setattr(Path, "open", no_handle_left)
        assert outcome(PUBLIC_KEY) == "unknown_serial"
        assert outcome(CERTIFICATE) == "received"
    assert outcome(PUBLIC_KEY) == "received"


def test_a_file_that_may_not_be_read_counts_once_it_may(directory, outcome, monkeypatch):
    (directory / "platform.pem").write_text(certificate(CERTIFICATE.private_key))
    pem = directory / PEM
    pem.write_text(PUBLIC_KEY.public_pem())
    pem.chmod(0)

    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as refused:  # root may read everything
        refused.setattr(Path, "open", refuse)
        assert outcome(PUBLIC_KEY) == "misconfigured"
    assert outcome(CERTIFICATE) == "misconfigured"  # nothing changed, so nothing is read again
    for file in (pem, directory / "platform.pem"):
        file.chmod(0o644)
    (directory / "platform.pem").chmod(0o640)
    assert outcome(PUBLIC_KEY) == outcome(CERTIFICATE) == "received"


def test_threads_see_a_good_key_whatever_happens_to_its_file(directory):
    pem, stop, missed = directory / PEM, threading.Event(), []
    pem.write_text(PUBLIC_KEY.public_pem())
    found = build_merchant("default", **PLATFORM.merchant(PLATFORM_KEYS=directory)).platform_keys

    def look():
        while not stop.is_set():
            if found.get(PUBLIC_KEY.serial) is None or found.get("unknown") is not None:
                missed.append(sorted(found))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for turn in range(200):
        pem.write_text((PUBLIC_KEY, RENEWED)[turn % 2].public_pem())
        (directory / f"PUB_KEY_ID_{turn}.pem").write_text(RENEWED.public_pem())
        (directory / f"PUB_KEY_ID_{turn}.pem").unlink()
    stop.set()
    for thread in threads:
        thread.join()
    assert missed == []


def test_a_merchant_is_built_from_a_directory_that_holds_a_key(directory):
    given = PLATFORM.merchant(PLATFORM_KEYS=directory)
    with pytest.raises(Misconfigured, match="holds no key that can be used"):
        build_merchant("second", **given)
    (directory / PEM).write_text(PUBLIC_KEY.public_pem())
    built = build_merchant("second", **given)
    assert list(built.platform_keys) == [PUBLIC_KEY.serial]
    assert str(directory) not in repr(built)  # it may be a key that was put there by mistake


def test_a_provider_may_hand_out_a_merchant_with_a_directory(settings, directory, outcome):
    (directory / PEM).write_text(PUBLIC_KEY.public_pem())
    built = build_merchant("default", **PLATFORM.merchant(PLATFORM_KEYS=directory))
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": lambda _alias: built}
    assert outcome(PUBLIC_KEY) == "received"
    (directory / "platform.pem").write_text(certificate(CERTIFICATE.private_key))
    assert outcome(CERTIFICATE) == "received"
