"""Checks of WECHATPAY_NOTIFY itself and of its values, the merchants apart.

Never shows a value that may hold a password.
"""

from collections.abc import Mapping

from django.conf import settings
from django.urls import NoReverseMatch
from django.utils.module_loading import import_string

from wechatpay_notify.conf import DEFAULTS, DELIVERIES, MIN_TOKEN, conf
from wechatpay_notify.protocol.errors import Misconfigured
from wechatpay_notify.questions import QUESTIONS
from wechatpay_notify.sources import POLICIES, PUBLISHED_WORD
from wechatpay_notify.urls import InvalidNotifyURL, notify_url

from .findings import Findings, unknown_names

MAX_INLINE_SECONDS = 4.5
"""WeChat waits 5 seconds for the answer (protocol, section 1); the rest is for the way there and back."""
MAX_TOLERANCE = 3600
"""Seconds; whoever needs more than an hour has a clock to mend."""
COUNTS = {"MAX_BODY_BYTES": 1, "REJECTED_LOG_PER_MINUTE": 0, "REJECTED_LOG_KEEP": 0}
"""Settings that are whole numbers, and the least that each may be."""


def _setting() -> Findings:
    given = getattr(settings, "WECHATPAY_NOTIFY", None)
    if not isinstance(given, Mapping):
        wrong = "is missing" if given is None else f"is a {type(given).__name__}, not a dict"
        yield "E001", f"WECHATPAY_NOTIFY {wrong}.", 'Begin with WECHATPAY_NOTIFY = {"MERCHANTS": {"default": {…}}}.'
        return
    yield from unknown_names("E002", "WECHATPAY_NOTIFY", given, tuple(DEFAULTS))
    merchants = conf.MERCHANTS
    if not merchants or not (isinstance(merchants, Mapping | str) or callable(merchants)):
        wrong = f"is a {type(merchants).__name__}" if merchants else "is missing or empty"
        yield (
            "E003",
            f'WECHATPAY_NOTIFY["MERCHANTS"] {wrong}: every callback is answered 404.',
            "Give a dict alias → settings, or a provider, callable(alias) -> Merchant | None, or its dotted path.",
        )


def _callables() -> Findings:
    provider = conf.MERCHANTS if isinstance(conf.MERCHANTS, str) else None
    for name, given in (("MERCHANTS", provider or None), ("ORDER_RESOLVER", conf.ORDER_RESOLVER)):
        if given is not None:
            yield from _uncallable(f'WECHATPAY_NOTIFY["{name}"]', given)


def _answers() -> Findings:
    where, given = 'WECHATPAY_NOTIFY["ANSWERS"]', conf.configured("ANSWERS")
    if not isinstance(given, Mapping):
        yield (
            "E025",
            f"{where} is a {type(given).__name__}, not a dict: questions are answered 503.",
            'Give a dict event type → function or its dotted path: {"v2.SCAN": "shop.qr.prepay"}.',
        )
        return
    yield from unknown_names("E026", where, given, tuple(QUESTIONS), "event type")
    for name, function in given.items():
        yield from _uncallable(f'{where}["{str(name)[:64]}"]', function)


def _uncallable(where: str, given: object) -> Findings:
    problem = _problem(given)
    if problem:
        yield (
            "E004",
            f"{where} {problem}.",
            'Give a module-level function or its dotted path, like "shop.payments.function".',
        )


def _problem(given: object) -> str:
    if callable(given):
        return ""
    if not isinstance(given, str):
        return f"is a {type(given).__name__}, not callable"
    if not all(part.isidentifier() for part in given.split(".")):
        return "is text that is no dotted path"  # not shown: it may be a whole configuration, keys and all
    try:
        found = import_string(given)
    except ImportError as error:
        return f"cannot be imported: {error}"
    except Exception as error:  # whatever the host's module raises when imported; its text may hold anything
        return f"cannot be imported: {given!r} raises {type(error).__name__}"
    return "" if callable(found) else f"names a {type(found).__name__}, not a callable: {given!r}"


def _delivery() -> Findings:
    problem = "" if conf.DELIVERY in DELIVERIES else _problem(conf.DELIVERY)
    if problem:
        yield (
            "E020",
            f'WECHATPAY_NOTIFY["DELIVERY"] {problem}.',
            'Give "inline", "deferred", or a callable that wakes a worker: "wechatpay_notify.contrib.celery.wake".',
        )


def _inline_seconds() -> Findings:
    seconds = conf.configured("INLINE_SECONDS")
    if type(seconds) not in (int, float) or not 0 < seconds <= MAX_INLINE_SECONDS:
        yield (
            "E021",
            f'WECHATPAY_NOTIFY["INLINE_SECONDS"] must be a number over 0 and at most {MAX_INLINE_SECONDS}.',
            "WeChat waits 5 seconds for the answer; the default 3 leaves the last receiver started time to finish.",
        )


def _timestamp_tolerance() -> Findings:
    name, default = 'WECHATPAY_NOTIFY["TIMESTAMP_TOLERANCE"]', DEFAULTS["TIMESTAMP_TOLERANCE"]
    seconds = conf.configured("TIMESTAMP_TOLERANCE")
    if type(seconds) is not int or not 1 <= seconds <= MAX_TOLERANCE:
        yield (
            "E022",
            f"{name} must be a whole number of seconds from 1 to {MAX_TOLERANCE}.",
            f"Remove the setting: the default {default} fits WeChat, which signs each retry anew.",
        )
    elif seconds > default:
        yield (
            "W020",
            f"{name} is {seconds}: a captured request can be sent again for that long.",
            f"Remove it: the default {default} fits WeChat, which signs each retry anew, if NTP keeps the clock.",
        )


def _counts() -> Findings:
    for name, least in COUNTS.items():
        value = conf.configured(name)
        if type(value) is not int or value < least:
            yield (
                "E023",
                f'WECHATPAY_NOTIFY["{name}"] must be a whole number, at least {least}.',
                f"Remove the setting ({DEFAULTS[name]}) or give a number.",
            )


def _base_url() -> Findings:
    # Listed merchants alone: a provider may ask the database, which a check must not.
    for alias in conf.merchants if conf.BASE_URL else ():
        try:
            notify_url(merchant=alias)
        except InvalidNotifyURL as error:
            problem = str(error).rpartition(": ")[2]  # without the URL: it may hold a password
            yield (
                "E024",
                f'WECHATPAY_NOTIFY["BASE_URL"] makes a URL for merchant {alias!r} that WeChat refuses: {problem}.',
                'Give the public origin of the shop, "https://shop.example", or None where notify_url() is not used.',
            )
            return
        except NoReverseMatch:
            return  # the URLs are not included: a warning of its own


def _source_networks() -> Findings:
    if conf.SOURCE_NETWORKS in (None, PUBLISHED_WORD):
        return
    try:
        conf.source_networks  # noqa: B018 (raises)
    except Misconfigured as error:
        yield (
            "E027",
            f"WECHATPAY_NOTIFY: {error.detail}.",
            'List networks as text, ["101.226.103.0/25", "203.0.113.7"], or give None: then addresses are recorded.',
        )


def _source_policy() -> Findings:
    policy, networks = conf.SOURCE_POLICY, conf.SOURCE_NETWORKS
    if policy not in POLICIES:
        yield (
            "E028",
            'WECHATPAY_NOTIFY["SOURCE_POLICY"] is neither "log" nor "reject".',
            'Remove it ("log"), or give "reject": then genuine notifications from elsewhere are refused.',
        )
    elif policy == "reject" and networks == PUBLISHED_WORD:
        yield (
            "E028",
            'WECHATPAY_NOTIFY["SOURCE_POLICY"] is "reject" beside the published networks, which are only logged.',
            "WeChat adds addresses without asking you: list the networks yourself to refuse others, and watch them.",
        )
    elif policy == "reject" and networks is None:
        yield (
            "W021",
            'WECHATPAY_NOTIFY["SOURCE_POLICY"] is "reject" without SOURCE_NETWORKS: no address is refused.',
            "Give SOURCE_NETWORKS, or remove SOURCE_POLICY: the signature decides without it.",
        )


def _trusted_proxies() -> Findings:
    try:
        conf.trusted_proxies  # noqa: B018 (raises)
    except Misconfigured as error:
        yield (
            "E029",
            f"WECHATPAY_NOTIFY: {error.detail}.",
            'List the addresses of your own proxies, ["127.0.0.1", "10.0.0.0/24"]: only their X-Forwarded-For counts.',
        )


def _health_token() -> Findings:
    if conf.HEALTH_TOKEN is not None and not conf.health_token:
        yield (
            "E032",
            f'WECHATPAY_NOTIFY["HEALTH_TOKEN"] must be at least {MIN_TOKEN} ASCII characters without spaces, or None.',
            "Give a random one, of secrets.token_urlsafe(), or remove it: then only staff sees the health view.",
        )


CHECKS = (
    _setting,
    _callables,
    _answers,
    _delivery,
    _inline_seconds,
    _timestamp_tolerance,
    _counts,
    _base_url,
    _source_networks,
    _source_policy,
    _trusted_proxies,
    _health_token,
)
