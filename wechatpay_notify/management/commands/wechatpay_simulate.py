"""A pretend WeChat on the developer's machine: sends really signed payments and refunds to a local shop.

Never sends to a public address, never works outside of DEBUG, never signs with other than development keys.
"""

import ipaddress
import json
import socket
import time
from argparse import ArgumentParser
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.urls import NoReverseMatch, reverse

from wechatpay_notify.conf import DEFAULT_ALIAS, SIGN_TYPES, conf
from wechatpay_notify.models import NotificationLog, Order
from wechatpay_notify.protocol.errors import NotificationError
from wechatpay_notify.protocol.flatxml import parse_xml
from wechatpay_notify.protocol.results import FAILED, PAID
from wechatpay_notify.protocol.types import Merchant
from wechatpay_notify.testing import Platform, Signed, development_platform

from . import _notices

KEYS = ".wechatpay"
DEV_SERVER = "http://127.0.0.1:8000"
MAX_TIMES = 100
WAIT_SECONDS = 5
"""How long WeChat waits for an answer before it counts the attempt as failed (protocol, 1.10 and 2.8)."""
OF_PAYMENTS, OF_REFUNDS = ("again", "attach", "state"), ("out_refund_no", "refund_status")
"""Options that only the one or the other has."""
MEND = (
    'In the development settings: from wechatpay_notify.testing import development_merchant; "MERCHANTS": '
    f'{{"default": development_merchant(BASE_DIR / "{KEYS}")}}. --keys names the directory if it is another one.'
)


@dataclass(frozen=True, slots=True)
class Sent:
    """One request and what came of it."""

    signed: Signed
    answered: str
    """Status and word, or that there was no answer."""
    accepted: bool
    milliseconds: int

    @property
    def in_time(self) -> bool:
        return self.milliseconds <= WAIT_SECONDS * 1000


class Command(BaseCommand):
    help = "Send really signed notifications of a payment or refund to a shop on this machine, as WeChat would."
    requires_system_checks = []  # what matters here is checked, and a warning about production would only be noise

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "url",
            nargs="?",
            default=DEV_SERVER,
            help=f"where the notification goes, or just the server; default {DEV_SERVER} and the shop's own path",
        )
        parser.add_argument("--out-trade-no", required=True, help="merchant order number (商户订单号)")
        parser.add_argument("--amount", type=int, metavar="FEN", help="of the order, in fen; default: what it expects")
        parser.add_argument("--api", choices=("v3", "v2"), default="v3")
        parser.add_argument("--sign-type", choices=SIGN_TYPES, default="MD5", help="of a v2 notification")
        parser.add_argument("--merchant", default=DEFAULT_ALIAS, metavar="ALIAS", help="alias in MERCHANTS")
        parser.add_argument(
            "--keys", type=Path, metavar="DIR", help=f"of development_merchant(); default {KEYS} here, else in BASE_DIR"
        )
        which = parser.add_mutually_exclusive_group()
        which.add_argument(
            "--transaction-id",
            default="",
            metavar="T",
            help="default: that of the order once it is paid, else, for a payment, a new one",
        )
        which.add_argument("--again", action="store_true", help="a second, different payment of a paid order")
        parser.add_argument("--attach", default="", metavar="TEXT")
        parser.add_argument("--state", choices=sorted({PAID, *FAILED}), default=PAID, help="v2 knows paid and not paid")
        parser.add_argument("--times", type=int, default=1, metavar="N", help="send the same notice N times")
        parser.add_argument("--together", action="store_true", help="all at once, not one after the other")
        refund = parser.add_argument_group("a refund instead of a payment")
        refund.add_argument(
            "--refund", type=int, metavar="FEN", help="how much of the order's payment goes back, in fen"
        )
        refund.add_argument(
            "--out-refund-no",
            metavar="R",
            help="merchant refund number (商户退款单号); default: made of order number and amount",
        )
        refund.add_argument("--refund-status", choices=_notices.REFUND_STATES, help="default: SUCCESS")
        wrong = parser.add_mutually_exclusive_group()
        wrong.add_argument("--tamper", action="store_true", help="change the body after signing; must be refused")
        wrong.add_argument("--probe", action="store_true", help="WeChat's signature test (v3); must be refused")

    def handle(self, *, url: str, **options: Any) -> None:
        times, alias, number = options["times"], options["merchant"], options["out_trade_no"]
        _check(options)
        url = destination(url, alias)
        merchant = self._merchant(alias, options["api"])
        platform = trusted_platform(options["keys"] or _keys_directory(), merchant, options["api"])
        order = recorded_order(merchant, number)
        if order and order.currency != "CNY":
            raise CommandError("orders in another currency than CNY are not simulated")
        if order and order.appid:
            platform = replace(platform, appid=order.appid)
        amount = order.amount if options["amount"] is None and order else options["amount"]
        if amount is None:
            raise CommandError(
                f"no order {number} is recorded in this database: record it first with Order.objects.expect(), or give "
                "--amount in fen, if another database has it"
            )
        compose = _notices.payment if options["refund"] is None else _notices.refund
        notice = compose(platform, order, amount, options)
        self.stdout.write(f"{notice.about} → {url}")
        spoil = Signed.tampered if options["tamper"] else Signed.probe if options["probe"] else None

        def one(_: int) -> Sent:
            signed = notice.make()
            return send(spoil(signed) if spoil else signed, url)

        accepted = []
        with ThreadPoolExecutor(times if options["together"] else 1) as pool:
            for count, sent in enumerate(pool.map(one, range(times)), 1):
                label = f"#{count:<3} " if times > 1 else ""
                late = "" if sent.in_time else f": too late, WeChat waits {WAIT_SECONDS} s and sends again"
                self.stdout.write(f"{label}{sent.answered}{decision(sent.signed)}, {sent.milliseconds} ms{late}")
                accepted.append(sent.accepted and (sent.in_time or spoil is not None))
        if spoil:
            if any(accepted):
                raise CommandError("a request that is not WeChat's was accepted")
        elif not all(accepted):
            raise CommandError(f"{accepted.count(False)} of {times} not answered with success: WeChat would send again")

    def _merchant(self, alias: str, api: Any) -> Merchant:
        config = conf.merchant(alias)
        if config is None:
            raise CommandError(f"there is no merchant {alias!r} in WECHATPAY_NOTIFY['MERCHANTS']. {MEND}")
        try:
            return config.usable(api)
        except NotificationError as error:
            raise CommandError(f"merchant {alias!r}: {error.detail}") from error


def destination(url: str, alias: str) -> str:
    """The URL to send to, with the shop's own path if it has none. Raises CommandError for any but a local one."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 80
    except ValueError as error:
        raise CommandError(f"{url!r} is no URL") from error
    if parts.scheme != "http" or not host:
        raise CommandError(f"{url!r}: give the http:// address of a shop on this machine or network")
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except OSError as error:
        raise CommandError(f"the host {host!r} is not known: {error}") from error
    if not all(map(_is_local, found)):
        raise CommandError(
            f"{host!r} is neither this machine nor a private address; notifications signed with development keys "
            "stay on the developer's own network"
        )
    if parts.path not in ("", "/"):
        return url
    try:
        path = reverse("wechatpay_notify:notify", kwargs={} if alias == DEFAULT_ALIAS else {"alias": alias})
    except NoReverseMatch as error:
        raise CommandError('include("wechatpay_notify.urls") in the URLconf, or give the whole URL') from error
    return f"http://{parts.netloc}{path}"


def trusted_platform(directory: Path, merchant: Merchant, api: str) -> Platform:
    """The pretend WeChat of this directory. Raises CommandError if the merchant does not trust its keys."""
    if not (directory / "platform.json").exists():
        raise CommandError(f"there are no development keys in {directory}. {MEND}")
    platform = development_platform(directory)
    trusted = platform.api_v2_key in merchant.api_v2_keys if api == "v2" else _trusts_v3(merchant, platform)
    if not trusted:
        raise CommandError(f"merchant {merchant.alias!r} does not trust the {api} keys in {directory}. {MEND}")
    appid = platform.appid if merchant.appids is None else next(iter(sorted(merchant.appids)), platform.appid)
    return replace(platform, mchid=merchant.mchid, appid=appid)


def recorded_order(merchant: Merchant, out_trade_no: str) -> Order | None:
    """What this database knows of the order; None too when it has no tables, as another process may be the shop."""
    try:
        found = [
            order
            for order in Order.objects.filter(mchid=merchant.mchid, out_trade_no=out_trade_no)
            if order.out_trade_no == out_trade_no
        ]
    except DatabaseError:
        return None
    return found[0] if len(found) == 1 else None


def send(signed: Signed, url: str) -> Sent:
    """Send one request. Raises nothing: that nobody answers is a result too."""
    started = time.monotonic()
    try:
        status, body = signed.send(url)
        word = answer(body)
        answered, accepted = f"{status} {word}", 200 <= status < 300 and word.startswith("SUCCESS")
    except OSError as error:
        answered, accepted = f"no answer: {error}", False
    return Sent(signed, answered, accepted, int((time.monotonic() - started) * 1000))


def decision(signed: Signed) -> str:
    """` → confirmed`: what the shop decided about this request, "" unless it shares this database."""
    try:
        # No two bodies are the same: each has a nonce of its own.
        outcome = NotificationLog.objects.filter(body=signed.body).values_list("outcome", flat=True).first()
    except DatabaseError:
        return ""
    return f" → {outcome}" if outcome else ""


def answer(body: bytes) -> str:
    """What a callback answered, in one line: `SUCCESS` or `FAIL word`; else the beginning of what came."""
    try:
        fields: Any = parse_xml(body, "xml") if body.startswith(b"<xml") else json.loads(body)
        words = [str(fields.get(name)) for name in ("code", "message", "return_code", "return_msg") if name in fields]
    except (NotificationError, ValueError, AttributeError):
        return f"not WeChat's form: {body[:60].decode(errors='replace').strip()!r}"
    return " ".join(words).replace("SUCCESS OK", "SUCCESS")


def _check(options: dict[str, Any]) -> None:
    if not settings.DEBUG:
        raise CommandError("this is a tool for development and works only with DEBUG = True")
    if not 1 <= options["times"] <= MAX_TIMES:
        raise CommandError(f"--times takes 1 to {MAX_TIMES}")
    if options["probe"] and options["api"] == "v2":
        raise CommandError("--probe is a test of v3 signatures; v2 has none")
    refunding = options["refund"] is not None
    for name in OF_PAYMENTS if refunding else OF_REFUNDS:
        if options[name] not in (None, False, "", PAID):
            raise CommandError(f"--{name.replace('_', '-')} says nothing of a {'refund' if refunding else 'payment'}")


def _keys_directory() -> Path:
    """The directory in the current one, else beside the project, as a command may be run from anywhere."""
    here, base = Path(KEYS), getattr(settings, "BASE_DIR", None)
    return here if here.exists() or base is None else Path(base) / KEYS


def _trusts_v3(merchant: Merchant, platform: Platform) -> bool:
    key = merchant.platform_keys.get(platform.serial)
    same = key is not None and key.public_key == platform.private_key.public_key()
    return same and platform.api_v3_key.encode() in merchant.api_v3_keys


def _is_local(text: str) -> bool:
    address = ipaddress.ip_address(text)
    # Python 3.11 calls every IPv4-mapped IPv6 address private.
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_private or address.is_link_local
