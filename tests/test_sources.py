"""Source addresses: the second wall, which stands behind the signature and is off unless the shop asks for it."""

import pytest

from tests.answers import answer
from tests.settings import PLATFORM
from wechatpay_notify import signals
from wechatpay_notify.models import Discrepancy, NotificationLog, Order, SignalDelivery

pytestmark = pytest.mark.django_db

WECHAT, ELSEWHERE, PROXY, BALANCER = "203.205.219.130", "198.51.100.7", "127.0.0.1", "10.0.0.5"
LISTED = {"SOURCE_NETWORKS": ["203.205.219.128/25", "2001:db8::/32"]}
REJECT = LISTED | {"SOURCE_POLICY": "reject"}
PROXIES = {"TRUSTED_PROXIES": ["127.0.0.1", "10.0.0.0/24", "2001:db8:1::/48"]}


@pytest.fixture
def order():
    return Order.objects.expect(out_trade_no="A-1", amount=100)


@pytest.fixture
def send(client, settings, order, shipped):
    """Post a payment of the order from this address with this X-Forwarded-For, under these settings; its log row."""

    def send(address, given, forwarded=None, *, version="v3", altered=False):
        settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": PLATFORM.merchant()}} | given
        signed = getattr(PLATFORM, f"payment_{version}")("A-1", 100, transaction_id="42A1")
        signed = signed.with_body(signed.body.replace(b"SUCCESS", b"SUCCES5") + b" ") if altered else signed
        extra = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
        response = signed.post(client, "/wechatpay/notify/", REMOTE_ADDR=address, **extra)
        row = NotificationLog.objects.latest("pk")
        assert (response.status_code, response.content) == answer(version, row.outcome)
        return row

    return send


@pytest.fixture
def remarks(caplog):
    """The WARNING lines of the app's logger that speak of addresses."""

    def remarks():
        lines = [record for record in caplog.records if record.name == "wechatpay_notify"]
        return [line.getMessage() for line in lines if line.levelname == "WARNING" and "address" in line.getMessage()]

    return remarks


def test_by_default_an_address_is_recorded_and_decides_nothing(send, remarks):
    row = send(ELSEWHERE, {})
    assert (row.outcome, row.remote_addr, row.detail) == ("confirmed", ELSEWHERE, "")
    assert remarks() == []


@pytest.mark.parametrize("policy", ["log", "reject"])
@pytest.mark.parametrize("address", [WECHAT, "2001:db8::7", f"::ffff:{WECHAT}"])
def test_an_address_in_the_list_is_as_ever(send, remarks, policy, address):
    row = send(address, LISTED | {"SOURCE_POLICY": policy})
    assert (row.outcome, row.detail) == ("confirmed", "")
    assert row.remote_addr == address.removeprefix("::ffff:")
    assert remarks() == []


@pytest.mark.parametrize("version", ["v3", "v2"])
def test_policy_log_remarks_on_another_address_and_goes_on(send, shipped, remarks, version):
    row = send(ELSEWHERE, LISTED, version=version)
    assert (row.outcome, row.remote_addr) == ("confirmed", ELSEWHERE)
    assert row.detail == f"the sender's address {ELSEWHERE} is not in SOURCE_NETWORKS"
    (line,) = remarks()
    assert line == f"{row.detail} merchant='default' out_trade_no='A-1'"
    assert len(shipped.calls) == 1
    assert send(ELSEWHERE, LISTED, version=version).detail == row.detail


def test_a_remark_stands_beside_what_was_judged(send):
    Order.objects.filter(out_trade_no="A-1").update(amount=101)
    row = send(ELSEWHERE, LISTED)
    assert row.outcome == "amount_mismatch"
    assert row.detail == f"the sender's address {ELSEWHERE} is not in SOURCE_NETWORKS; paid 100 CNY, ordered 101 CNY"


@pytest.mark.parametrize("version", ["v3", "v2"])
def test_policy_reject_refuses_a_genuine_notification_from_elsewhere(send, order, shipped, connect, caplog, version):
    rejected = connect(signals.notification_rejected, "shop.alert")
    row = send(ELSEWHERE, REJECT, version=version)
    assert (row.outcome, row.verified, row.remote_addr) == ("source_refused", True, ELSEWHERE)
    assert row.detail == f"the sender's address {ELSEWHERE} is not in SOURCE_NETWORKS"
    assert (row.out_trade_no, row.transaction_id) == ("A-1", "42A1")
    assert [(call["notification"], call["outcome"]) for call in rejected.calls] == [(row, "source_refused")]
    levels = {record.levelname for record in caplog.records if record.name == "wechatpay_notify"}
    assert levels == {"WARNING"}
    order.refresh_from_db()
    assert order.status == "pending"
    assert not shipped.calls
    assert not Discrepancy.objects.exists()
    assert not SignalDelivery.objects.exists()
    assert send(WECHAT, REJECT, version=version).outcome == "confirmed"


def test_every_kind_of_notification_is_refused_from_elsewhere(client, settings):
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": PLATFORM.merchant()}} | REJECT
    PLATFORM.v3("COUPON.USE", {"coupon_id": "C-1"}).post(client, "/wechatpay/notify/", REMOTE_ADDR=ELSEWHERE)
    assert NotificationLog.objects.get().outcome == "source_refused"
    assert not SignalDelivery.objects.exists()


@pytest.mark.parametrize("address", ["", "unix:", "junk", "fe80::1%eth0"])
def test_an_address_that_is_not_known_is_in_no_list(send, address):
    row = send(address, LISTED)
    assert (row.outcome, row.remote_addr) == ("confirmed", None)
    assert "(unknown) is not in SOURCE_NETWORKS" in row.detail
    assert send(address, REJECT).outcome == "source_refused"


@pytest.mark.parametrize("address", [WECHAT, ELSEWHERE])
@pytest.mark.parametrize("given", [{}, LISTED, REJECT])
def test_the_right_address_never_makes_up_for_a_signature(send, order, remarks, address, given):
    row = send(address, given, altered=True)
    assert (row.outcome, row.verified, row.remote_addr) == ("signature_invalid", False, address)
    assert remarks() == []
    order.refresh_from_db()
    assert order.status == "pending"


@pytest.mark.parametrize("policy", ["log", "reject", "junk"])
def test_published_only_ever_logs(send, policy):
    given = {"SOURCE_NETWORKS": "published", "SOURCE_POLICY": policy}
    row = send(ELSEWHERE, given)
    assert (row.outcome, row.detail) == (
        "confirmed",
        f"the sender's address {ELSEWHERE} is not in SOURCE_NETWORKS",
    )


PUBLISHED = [
    *("101.226.103.5", "140.207.54.9", "121.51.58.172", "183.3.234.1", "58.251.80.127", "121.51.30.200"),
    *("203.205.219.255", "81.71.199.64", "175.24.214.208", "43.139.43.69", "162.62.214.129", "43.141.7.182"),
]


@pytest.mark.parametrize("address", PUBLISHED)
def test_the_published_addresses_of_mainland_and_global_are_known(send, address):
    assert send(address, {"SOURCE_NETWORKS": "published"}).detail == ""


@pytest.mark.parametrize("address", ["101.226.103.128", "203.205.219.127", "81.71.199.65", "2001:db8::1"])
def test_their_neighbours_are_not(send, address):
    assert address in send(address, {"SOURCE_NETWORKS": "published"}).detail


@pytest.mark.parametrize(
    ("peer", "forwarded", "recorded"),
    [
        (PROXY, None, PROXY),
        (PROXY, "", PROXY),
        (PROXY, WECHAT, WECHAT),
        (PROXY, f" {WECHAT}\t", WECHAT),
        (PROXY, f"{WECHAT}:443", WECHAT),
        (PROXY, f"[{WECHAT}]:443", WECHAT),
        (PROXY, f"::ffff:{WECHAT}", WECHAT),
        (PROXY, f"[::ffff:{WECHAT}]:443", WECHAT),
        (PROXY, "2001:db8::7", "2001:db8::7"),
        (PROXY, "[2001:db8::7]", "2001:db8::7"),
        (PROXY, "[2001:DB8::7]:443", "2001:db8::7"),
        (f"::ffff:{PROXY}", WECHAT, WECHAT),
        ("2001:db8:1::1", f"{WECHAT}, 2001:db8:1::2", WECHAT),
        # Walked from the right, past trusted proxies, to the first address that is none: what is left of it is hearsay.
        (PROXY, f"{ELSEWHERE}, {WECHAT}, {BALANCER}", WECHAT),
        (PROXY, f"{WECHAT}, {ELSEWHERE}, {BALANCER}:80", ELSEWHERE),
        (PROXY, f"{WECHAT},{ELSEWHERE}", ELSEWHERE),
        (PROXY, f"{BALANCER}, {BALANCER}", BALANCER),
        # Junk ends the walk; the last address known stands.
        (PROXY, "unknown", PROXY),
        (PROXY, f"{WECHAT}, ", PROXY),
        (PROXY, f"{WECHAT}, junk", PROXY),
        (PROXY, f"{WECHAT}, _hidden, {BALANCER}", BALANCER),
        (PROXY, f"{WECHAT}, fe80::1%eth0, {BALANCER}", BALANCER),
        (PROXY, f"{WECHAT}, 10.0.0.256, {BALANCER}", BALANCER),
        (PROXY, "'; DROP TABLE x; --", PROXY),
        (PROXY, "\x00", PROXY),
        (PROXY, "1" * 5000, PROXY),
        (PROXY, "," * 5000, PROXY),
        (PROXY, "[", PROXY),
        (PROXY, ":", PROXY),
        # A peer that is no trusted proxy says nothing of others.
        (ELSEWHERE, WECHAT, ELSEWHERE),
        (ELSEWHERE, f"{WECHAT}, {PROXY}", ELSEWHERE),
        ("10.0.1.5", WECHAT, "10.0.1.5"),
        ("", WECHAT, None),
        ("junk", WECHAT, None),
    ],
)
def test_the_address_is_the_peers_or_what_trusted_proxies_name(send, peer, forwarded, recorded):
    assert send(peer, PROXIES, forwarded).remote_addr == recorded
    outcome = "confirmed" if recorded in (WECHAT, "2001:db8::7") else "source_refused"
    Order.objects.all().delete()
    Order.objects.expect(out_trade_no="A-1", amount=100)
    assert send(peer, PROXIES | REJECT, forwarded).outcome == outcome


def test_without_trusted_proxies_a_header_is_ignored(send):
    assert send(PROXY, REJECT, WECHAT).outcome == "source_refused"


@pytest.mark.parametrize("header", ["HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_CLIENT_IP"])
def test_no_other_header_names_an_address(client, settings, header):
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": PLATFORM.merchant()}} | PROXIES
    signed = PLATFORM.payment_v3("A-1", 100)
    signed.post(client, "/wechatpay/notify/", REMOTE_ADDR=PROXY, **{header: f"for={WECHAT}"})
    assert NotificationLog.objects.get().remote_addr == PROXY


UNUSABLE = {
    "SOURCE_NETWORKS is empty": {"SOURCE_NETWORKS": []},
    "SOURCE_NETWORKS is a str, not a list of networks": {"SOURCE_NETWORKS": WECHAT},
    "SOURCE_NETWORKS is a bool, not a list of networks": {"SOURCE_NETWORKS": False},
    "SOURCE_NETWORKS[1] is no network or address": {"SOURCE_NETWORKS": [WECHAT, "junk"]},
    "SOURCE_NETWORKS[0] has bits set beyond its prefix": {"SOURCE_NETWORKS": [f"{WECHAT}/25"]},
    "TRUSTED_PROXIES[0] is no network or address": {"TRUSTED_PROXIES": ["localhost"]},
    "TRUSTED_PROXIES trusts everybody": {"TRUSTED_PROXIES": ["0.0.0.0/0"]},
    "TRUSTED_PROXIES is a NoneType": {"TRUSTED_PROXIES": None},
}


@pytest.mark.parametrize("said", UNUSABLE)
@pytest.mark.parametrize("version", ["v3", "v2"])
def test_what_cannot_be_used_fails_closed_under_reject(send, order, said, version):
    row = send(WECHAT, REJECT | UNUSABLE[said], version=version)
    assert (row.outcome, row.verified) == ("misconfigured", True)
    assert said in row.detail
    order.refresh_from_db()
    assert order.status == "pending"
    assert send(WECHAT, REJECT, version=version).outcome == "confirmed"


@pytest.mark.parametrize("policy", ["Reject", "", None, ["log"], True])
def test_a_policy_that_does_not_exist_fails_closed(send, policy):
    row = send(WECHAT, LISTED | {"SOURCE_POLICY": policy})
    assert (row.outcome, row.verified) == ("misconfigured", True)
    assert "SOURCE_POLICY" in row.detail


@pytest.mark.parametrize("said", UNUSABLE)
def test_what_cannot_be_used_is_remarked_on_under_log(send, remarks, said):
    row = send(WECHAT, LISTED | UNUSABLE[said])
    assert row.outcome == "confirmed"
    assert row.detail.startswith(f"the sender's address was not checked: {said}")
    assert len(remarks()) == 1


@pytest.mark.parametrize("given", UNUSABLE.values())
def test_what_cannot_be_used_tells_a_stranger_nothing(send, given):
    assert send(WECHAT, REJECT | given, altered=True).outcome == "signature_invalid"


def test_proxies_that_cannot_be_used_are_not_trusted(send):
    row = send(PROXY, {"TRUSTED_PROXIES": [PROXY, "junk"]}, WECHAT)
    assert (row.outcome, row.remote_addr) == ("confirmed", PROXY)
