"""wechatpay_simulate: really signed notifications, to a local shop only."""

import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from django.core.management import CommandError, call_command

from wechatpay_notify import signals
from wechatpay_notify.conf import conf
from wechatpay_notify.management.commands.wechatpay_simulate import DEV_SERVER, destination
from wechatpay_notify.models import NotificationLog, Order, Refund
from wechatpay_notify.protocol import flatxml, v2, v3
from wechatpay_notify.testing import Platform, development_merchant

OTHER = Platform(private_key=generate_private_key(public_exponent=65537, key_size=2048))
ACCEPTED = 200, b'{"code": "SUCCESS"}'


def simulate(*arguments, number="SHOP-1"):
    """Run the command; returns what it printed. Raises CommandError for a refusal or a bad answer."""
    out = StringIO()
    call_command("wechatpay_simulate", *arguments, "--out-trade-no", number, stdout=out)
    return out.getvalue()


@pytest.fixture
def merchant(tmp_path, monkeypatch, settings):
    """A developer's settings and current directory; call it to change the merchant's entry."""
    monkeypatch.chdir(tmp_path)
    settings.DEBUG = True

    def configure(**overrides):
        entry = development_merchant(tmp_path / ".wechatpay", **overrides)
        settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": entry}}

    configure()
    return configure


class Stub(ThreadingHTTPServer):
    """A pretend shop: keeps what it is sent and answers what it is told to."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received, self.reply, self.together = [], ACCEPTED, None
        self.url = f"http://127.0.0.1:{self.server_port}/callback/"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, dict(self.headers), body))
        if self.server.together:
            self.server.together.wait()
        status, answer = self.server.reply
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.fixture
def stub(merchant):
    with Stub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class TestToAShop:
    """End to end, over HTTP, against the app itself."""

    pytestmark = pytest.mark.django_db(transaction=True)

    @pytest.mark.parametrize("api", [(), ("--api", "v2"), ("--api", "v2", "--sign-type", "HMAC-SHA256")])
    def test_a_payment_of_a_recorded_order_needs_only_its_number(self, merchant, live_server, shipped, api):
        Order.objects.expect(out_trade_no="SHOP-1", amount=2600)
        printed = simulate(live_server.url, *api, "--attach", "table 7", "--transaction-id", "4200001")
        order = Order.objects.get()
        assert (order.status, order.attach, order.transaction_id) == ("paid", "table 7", "4200001")
        assert len(shipped.calls) == 1
        assert "200 SUCCESS → confirmed, " in printed
        assert printed.endswith(" ms\n")

    @pytest.mark.parametrize("api", ["v3", "v2"])
    def test_the_same_command_again_is_wechats_retry(self, merchant, live_server, shipped, api):
        Order.objects.expect(out_trade_no="SHOP-1", amount=2600)
        printed = [simulate(live_server.url, "--api", api) for _ in range(2)]
        assert "200 SUCCESS → confirmed, " in printed[0]
        assert "200 SUCCESS → duplicate, " in printed[1]
        assert len(shipped.calls) == 1

    def test_again_is_a_second_payment(self, merchant, live_server, shipped, unexpected):
        Order.objects.expect(out_trade_no="SHOP-1", amount=2600)
        simulate(live_server.url)
        assert "200 SUCCESS → unexpected, " in simulate(live_server.url, "--again")
        assert unexpected.calls[0]["reason"] == "already_paid"
        assert unexpected.calls[0]["payment"].transaction_id != Order.objects.get().transaction_id

    def test_each_copy_comes_with_its_own_decision(self, merchant, live_server, shipped):
        Order.objects.expect(out_trade_no="SHOP-1", amount=2600)
        printed = simulate(live_server.url, "--times", "2")
        assert re.findall(r"#(\d) +200 SUCCESS → (\w+)", printed) == [("1", "confirmed"), ("2", "duplicate")]

    @pytest.mark.parametrize("api", ["v3", "v2"])
    def test_an_order_of_a_service_provider_names_its_sub_merchant(self, merchant, live_server, shipped, api):
        merchant(SUB_MCHIDS=["1900000110"], APPIDS=["wx1", "wx2"], MCHID="1900000111")
        Order.objects.expect(out_trade_no="SHOP-1", amount=2600, sub_mchid="1900000110", appid="wx2")
        simulate(live_server.url, "--api", api)
        assert Order.objects.get().status == "paid"

    @pytest.mark.parametrize("api", ["v3", "v2"])
    def test_a_failed_payment_leaves_the_order_pending(self, merchant, live_server, shipped, api):
        Order.objects.expect(out_trade_no="SHOP-1", amount=2600)
        simulate(live_server.url, "--api", api, "--state", "PAYERROR")
        assert Order.objects.get().status == "pending"
        assert NotificationLog.objects.get().outcome == "payment_failed"

    @pytest.mark.parametrize("api", ["v3", "v2"])
    def test_refunds_of_a_paid_order_need_only_how_much_goes_back(self, merchant, live_server, shipped, api):
        Order.objects.expect(out_trade_no="SHOP-1", amount=2600)
        simulate(live_server.url)
        printed = [simulate(live_server.url, "--api", api, "--refund", fen) for fen in ("600", "600", "2000")]
        assert ["refunded" in line for line in printed] == [True, False, True]
        assert "200 SUCCESS → duplicate, " in printed[1]
        order = Order.objects.get()
        assert order.refunded_amount == 2600
        assert {(row.out_refund_no, row.transaction_id, row.amount) for row in order.refunds.all()} == {
            ("SHOP-1-600", order.transaction_id, 600),
            ("SHOP-1-2000", order.transaction_id, 2000),
        }

    @pytest.mark.parametrize("api", ["v3", "v2"])
    def test_a_refund_goes_through_the_states_it_is_given(self, merchant, live_server, shipped, api):
        Order.objects.expect(out_trade_no="SHOP-1", amount=2600)
        simulate(live_server.url)
        for status in ("ABNORMAL", "CLOSED"):
            refund = ("--api", api, "--refund", "600", "--out-refund-no", "R-1", "--refund-status", status)
            assert "200 SUCCESS → refunded, " in simulate(live_server.url, *refund)
            assert Refund.objects.get(out_refund_no="R-1").status == status

    @pytest.mark.parametrize("api", ["v3", "v2"])
    def test_a_refund_before_its_payment_is_sent_again(self, merchant, live_server, shipped, connect, api):
        told = connect(signals.refund_confirmed)
        Order.objects.expect(out_trade_no="SHOP-1", amount=2600)
        refund = ("--api", api, "--refund", "600", "--transaction-id", "4200001")
        with pytest.raises(CommandError, match="1 of 1 not answered with success"):
            simulate(live_server.url, *refund)
        simulate(live_server.url, "--transaction-id", "4200001")
        assert "200 SUCCESS → refunded, " in simulate(live_server.url, *refund)
        assert len(told.calls) == 1

    @pytest.mark.parametrize("api", ["v3", "v2"])
    def test_a_refund_of_a_sub_merchants_order_is_the_sub_merchants(self, merchant, live_server, shipped, api):
        merchant(SUB_MCHIDS=["1900000110"], APPIDS=["wx1", "wx2"], MCHID="1900000111")
        Order.objects.expect(out_trade_no="SHOP-1", amount=2600, sub_mchid="1900000110", appid="wx2")
        simulate(live_server.url)
        simulate(live_server.url, "--api", api, "--refund", "600")
        assert Refund.objects.get().sub_mchid == "1900000110"

    @pytest.mark.parametrize(
        ("wrong", "outcome"),
        [
            (("--tamper", "--refund", "600"), "signature_invalid"),
            (("--tamper", "--refund", "600", "--api", "v2"), "signature_invalid"),
            (("--probe", "--refund", "600"), "probe"),
        ],
    )
    def test_a_refund_that_is_not_wechats_is_refused(self, merchant, live_server, shipped, wrong, outcome):
        Order.objects.expect(out_trade_no="SHOP-1", amount=2600)
        simulate(live_server.url)
        assert f"FAIL unauthorized → {outcome}, " in simulate(live_server.url, *wrong)
        assert not Refund.objects.exists()

    @pytest.mark.parametrize(
        ("wrong", "outcome"),
        [
            (("--tamper",), "signature_invalid"),
            (("--tamper", "--api", "v2"), "signature_invalid"),
            (("--probe",), "probe"),
        ],
    )
    def test_what_is_not_wechats_is_refused_and_that_is_success(self, merchant, live_server, wrong, outcome):
        Order.objects.expect(out_trade_no="SHOP-1", amount=2600)
        assert f"FAIL unauthorized → {outcome}, " in simulate(live_server.url, *wrong)
        assert Order.objects.get().status == "pending"
        assert NotificationLog.objects.get().outcome == outcome

    def test_another_amount_than_ordered_ends_with_an_error(self, merchant, live_server, shipped):
        Order.objects.expect(out_trade_no="SHOP-1", amount=2600)
        with pytest.raises(CommandError, match="1 of 1 not answered with success"):
            simulate(live_server.url, "--amount", "1")
        assert NotificationLog.objects.get().outcome == "amount_mismatch"


class TestWhatIsSent:
    pytestmark = pytest.mark.django_db

    def test_copies_are_one_payment_signed_anew_each_time(self, stub):
        simulate(stub.url, "--amount", "5", "--times", "3")
        merchant = conf.merchant("default").merchant
        sent = [v3.parse_notification(head, body, merchant, now=time.time()) for _, head, body in stub.received]
        assert len({(one.notification_id, one.resource["transaction_id"]) for one in sent}) == 1
        assert len({head["Wechatpay-Signature"] for _, head, _ in stub.received}) == 3

    def test_together_means_at_the_same_moment(self, stub):
        stub.together = threading.Barrier(4, timeout=10)
        assert simulate(stub.url, "--amount", "5", "--times", "4", "--together").count("200 SUCCESS") == 4

    def test_v2_is_signed_with_the_algorithm_asked_for(self, stub):
        simulate(stub.url, "--amount", "5", "--api", "v2", "--sign-type", "HMAC-SHA256")
        [(path, _, body)] = stub.received
        fields = flatxml.parse_xml(body, "xml")
        v2.verify(fields, conf.merchant("default").merchant)
        assert (path, len(fields["sign"])) == ("/callback/", 64)

    def test_keys_beside_the_project_are_found_from_any_directory(self, stub, tmp_path, monkeypatch, settings):
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        settings.BASE_DIR = tmp_path
        simulate(stub.url, "--amount", "5")
        assert len(stub.received) == 1

    def test_the_url_defaults_to_the_shops_path_on_the_development_server(self):
        assert destination(DEV_SERVER, "default") == "http://127.0.0.1:8000/wechatpay/notify/"
        assert destination("http://localhost:81/", "second") == "http://localhost:81/wechatpay/notify/second/"


class TestAnswers:
    pytestmark = pytest.mark.django_db

    @pytest.mark.parametrize("wrong", ["--tamper", "--probe"])
    def test_a_shop_that_believes_everything_is_found_out(self, stub, wrong):
        with pytest.raises(CommandError, match="accepted"):
            simulate(stub.url, "--amount", "5", wrong)

    @pytest.mark.parametrize(
        "reply",
        [
            (503, b'{"code": "FAIL", "message": "retry"}'),
            (200, b"<xml><return_code>FAIL</return_code><return_msg>retry</return_msg></xml>"),
            (200, b"<html>Please log in</html>"),
            (200, b"[]"),
            (301, b""),
        ],
    )
    def test_what_wechat_would_send_again_ends_with_an_error(self, stub, reply):
        stub.reply = reply
        with pytest.raises(CommandError, match="2 of 2 not answered"):
            simulate(stub.url, "--amount", "5", "--times", "2")

    def test_an_answer_after_more_than_five_seconds_comes_too_late(self, stub, monkeypatch):
        clock = SimpleNamespace(monotonic=iter([0.0, 5.001]).__next__)
        monkeypatch.setattr("wechatpay_notify.management.commands.wechatpay_simulate.time", clock)
        with pytest.raises(CommandError, match="1 of 1 not answered with success"):
            simulate(stub.url, "--amount", "5")

    def test_of_a_shop_with_another_database_only_the_answer_is_known(self, stub):
        assert re.search(r"^200 SUCCESS, \d+ ms$", simulate(stub.url, "--amount", "5"), re.MULTILINE)

    def test_a_shop_that_is_not_running_ends_with_an_error(self, stub):
        with Stub() as closed:
            url = closed.url
        with pytest.raises(CommandError, match="not answered"):
            simulate(url, "--amount", "5")


class TestRefusals:
    pytestmark = pytest.mark.django_db

    @pytest.mark.parametrize(
        "url",
        [
            "http://8.8.8.8/wechatpay/notify/",
            "http://[2001:4860:4860::8888]/wechatpay/notify/",
            "http://[::ffff:8.8.8.8]/wechatpay/notify/",
            "https://127.0.0.1/wechatpay/notify/",
            "http://[127.0.0.1/",
            "http://:80/",
            "127.0.0.1:8000",
        ],
    )
    def test_only_a_shop_on_this_machine_or_network_is_written_to(self, merchant, url):
        with pytest.raises(CommandError, match=r"private address|on this machine|no URL"):
            simulate(url, "--amount", "5")

    def test_production_settings_are_refused(self, stub, settings):
        settings.DEBUG = False
        with pytest.raises(CommandError, match="DEBUG"):
            simulate(stub.url, "--amount", "5")

    @pytest.mark.parametrize(
        ("api", "others"),
        [
            ("v3", {"API_V3_KEY": "x" * 32}),
            ("v3", {"PLATFORM_KEYS": {OTHER.serial: OTHER.public_pem()}}),
            ("v3", {"PLATFORM_KEYS": {"PUB_KEY_ID_1": OTHER.public_pem()}}),
            ("v2", {"API_V2_KEY": "x" * 32}),
        ],
    )
    def test_a_merchant_that_does_not_trust_the_keys_is_refused_with_the_mend(self, stub, merchant, api, others):
        merchant(**others)
        with pytest.raises(CommandError, match=r'development_merchant\(BASE_DIR / ".wechatpay"\)'):
            simulate(stub.url, "--amount", "5", "--api", api)
        assert stub.received == []

    def test_without_keys_none_are_made(self, stub, tmp_path):
        with pytest.raises(CommandError, match="no development keys"):
            simulate(stub.url, "--amount", "5", "--keys", str(tmp_path / "nowhere"))
        assert not (tmp_path / "nowhere").exists()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((), "give --amount"),
            (("--amount", "5", "--merchant", "nobody"), "no merchant 'nobody'"),
            (("--amount", "5", "--times", "0"), "--times"),
            (("--amount", "5", "--times", "101"), "--times"),
            (("--amount", "5", "--probe", "--api", "v2"), "--probe"),
            (("--amount", "5", "--again", "--transaction-id", "4200001"), "not allowed with"),
            (("--amount", "5", "--refund", "3"), "give the --transaction-id"),
            (("--amount", "5", "--refund", "3", "--again"), "--again says nothing of a refund"),
            (("--amount", "5", "--refund", "3", "--attach", "x"), "--attach"),
            (("--amount", "5", "--refund", "3", "--state", "PAYERROR"), "--state"),
            (("--amount", "5", "--out-refund-no", "R-1"), "--out-refund-no says nothing of a payment"),
            (("--amount", "5", "--refund-status", "CLOSED"), "--refund-status"),
        ],
    )
    def test_arguments_that_make_no_sense_are_refused(self, stub, arguments, message):
        with pytest.raises(CommandError, match=message):
            simulate(stub.url, *arguments)
        assert stub.received == []

    def test_a_misconfigured_merchant_is_named_with_its_setting(self, stub, merchant):
        merchant(API_V3_KEY="short")
        with pytest.raises(CommandError, match="API_V3_KEY"):
            simulate(stub.url, "--amount", "5")

    def test_an_order_in_another_currency_is_refused(self, stub):
        Order.objects.expect(out_trade_no="SHOP-1", amount=2600, currency="USD")
        with pytest.raises(CommandError, match="CNY"):
            simulate(stub.url)

    def test_a_shop_without_our_urls_is_told_to_include_them(self, merchant, settings):
        settings.ROOT_URLCONF = "wechatpay_notify.status.urls"
        with pytest.raises(CommandError, match="include"):
            simulate("http://127.0.0.1:8000", "--amount", "5")
