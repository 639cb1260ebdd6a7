"""Words for what was refused before any order was looked at: signatures, keys, clocks, forms and sources.

Never shows more of a key than its serial or how many there are.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from wechatpay_notify.conf import MerchantConfig, conf
from wechatpay_notify.models import NotificationLog
from wechatpay_notify.protocol.flatxml import MAX_XML_BYTES

from .explanation import Explanation, clock, listed, quoted, short
from .known import Known

Words = Callable[[NotificationLog, Known], Explanation | None]

_NAMED = re.compile(r"(?P<name>\w+)(?: is)? '(?P<named>[^']*)'(?:, configured is '(?P<ours>[^']*)'| is not in)")
_ORDERED = re.compile(r"with (?P<name>\w+) '(?P<ordered>[^']*)', paid with '(?P<paid>[^']*)'")
_LISTS = {"appid": "APPIDS", "sub_mchid": "SUB_MCHIDS", "mchid": "MCHID"}


def unknown_serial(row: NotificationLog, known: Known) -> Explanation | None:
    serial, config = _header(row, "Wechatpay-Serial"), known.config(row.merchant)
    if not serial or config is None:
        return None
    keys = config.merchant.platform_keys
    said = {
        "serial": short(serial),
        "merchant": quoted(row.merchant),
        "keys": listed(short(name) for name in sorted(keys)) or _("none"),
    }
    key = keys.get(serial)
    if key is not None:
        expired = key.not_after is not None and key.not_after < row.received_at.timestamp()
        if expired:
            meaning = _("The platform certificate %(serial)s had expired when this came, so it was not believed.")
            return Explanation(meaning % said, _("Add the renewed certificate or the WeChat Pay public key."), "warn")
        meaning = _("Serial %(serial)s was unknown when this came; by now it is configured for merchant %(merchant)s.")
        return Explanation(meaning % said, _("WeChat's next attempt is believed; or process this one again."), "quiet")
    meaning = _("Serial %(serial)s is unknown here. Configured for merchant %(merchant)s: %(keys)s only.")
    return Explanation(meaning % said, _missing_key(serial, config), "warn")


def _missing_key(serial: str, config: MerchantConfig) -> str:
    has_public = any(name.startswith("PUB_KEY_ID_") for name in config.merchant.platform_keys)
    if serial.startswith("PUB_KEY_ID_"):
        if has_public:
            return _("It is the id of another public key: see on the merchant platform whose it is; no guess is made.")
        return _(
            "WeChat signs with its public key by now: download it on the merchant platform (account centre, API "
            "security) and add it to PLATFORM_KEYS under this id, beside the certificate."
        )
    if has_public and all(name.startswith("PUB_KEY_ID_") for name in config.merchant.platform_keys):
        return _(
            "WeChat still signs some callbacks with the platform certificate: add it to PLATFORM_KEYS or finish the "
            "switch on the merchant platform. If that is not your certificate's serial, somebody else sent this."
        )
    return _(
        "If WeChat sent this, the platform certificate was renewed: add the new one to PLATFORM_KEYS beside the old. "
        "If no certificate of yours has this serial, somebody else sent it."
    )


def stale(row: NotificationLog, known: Known) -> Explanation | None:
    stamp = _header(row, "Wechatpay-Timestamp")
    if not (stamp.isascii() and stamp.isdigit()) or len(stamp) > 10:
        meaning = _("Its timestamp is no moment: %(stamp)s.") % {"stamp": quoted(stamp[:32]) or "-"}
        return Explanation(meaning, _("Somebody else than WeChat sent this. Nothing to do."), "quiet")
    said = {
        "seconds": abs(round(row.received_at.timestamp()) - int(stamp)),
        "allowed": conf.tolerance,
        "moment": clock(datetime.fromtimestamp(int(stamp), UTC), row.received_at),
    }
    if int(stamp) > row.received_at.timestamp():
        meaning = _(
            "It says that it was signed %(seconds)d s later than it came (%(moment)s); allowed are %(allowed)d."
        )
        step = _(
            "This server's clock is probably slow: set it by NTP. WeChat signs every attempt anew, so its next one is "
            "believed once the clock is right."
        )
    else:
        meaning = _("It was signed %(seconds)d s before it came (at %(moment)s); allowed are %(allowed)d.")
        step = _(
            "If other notifications are late by as much, this server's clock is fast: set it by NTP. If only this one "
            "is, somebody sent an old request again, and refusing it was right."
        )
    return Explanation(meaning % said, step, "quiet")


def undecryptable(row: NotificationLog, known: Known) -> Explanation | None:
    config = known.config(row.merchant)
    if config is None:
        return None
    keys = len(config.merchant.api_v3_keys)
    meaning = ngettext(
        "WeChat signed this, but the one APIv3 key that merchant %(merchant)s has does not open it.",
        "WeChat signed this, but none of the %(keys)d APIv3 keys that merchant %(merchant)s has opens it.",
        keys,
    )
    step = _(
        "Set API_V3_KEY to the APIv3 key on the merchant platform; while it is being changed, a list with the old and "
        "the new one. Then WeChat's next attempt is taken, or process this one again."
    )
    return Explanation(meaning % {"keys": keys, "merchant": quoted(row.merchant)}, step, "bad")


def wrong_merchant(row: NotificationLog, known: Known) -> Explanation | None:
    ordered, named = _ORDERED.search(row.detail), _NAMED.search(row.detail)
    step = _(
        "If it is yours, the order was placed with another merchant's numbers or notify_url: correct that, or the "
        "setting. If it is not yours, nothing of it concerns this shop."
    )
    if ordered:
        meaning = _("The order was recorded with %(name)s %(ordered)s, but it was paid with %(paid)s.") % {
            name: quoted(value) for name, value in ordered.groupdict().items()
        }
        return Explanation(meaning, step, "warn")
    if not named:
        meaning = _("The payment or refund is genuine, but not this merchant's: %(detail)s.")
        return Explanation(meaning % {"detail": quoted(row.detail)}, step, "warn")
    said = {
        "name": named["name"],
        "named": quoted(named["named"]),
        "setting": _LISTS.get(named["name"], ""),
        "merchant": quoted(row.merchant),
        "ours": quoted(named["ours"] or _configured(named["name"], known.config(row.merchant))),
    }
    meaning = _(
        "The payment or refund is genuine, but another merchant's: it names %(name)s %(named)s; configured for "
        "merchant %(merchant)s is %(ours)s (%(setting)s)."
    )
    return Explanation(meaning % said, step, "warn")


def _configured(name: str, config: MerchantConfig | None) -> str:
    if config is None:
        return "-"
    merchant = config.merchant
    return listed(sorted((merchant.appids if name == "appid" else merchant.sub_mchids) or ())) or "-"


def misconfigured(row: NotificationLog, known: Known) -> Explanation | None:
    config = known.config(row.merchant)
    faults = [] if config is None else [fault for fault in config.faults if fault.version == row.api_version]
    setting = row.detail.partition(":")[0] if ":" in row.detail else ""
    if faults:
        meaning = _("The setting %(setting)s of merchant %(merchant)s cannot be used: it %(message)s")
        fault, merchant = faults[0], quoted(row.merchant)
        said = {"setting": fault.setting.partition("[")[0], "merchant": merchant, "message": fault.message}
        return Explanation(meaning % said, faults[0].hint, "bad")
    if setting and config is not None:
        meaning = _("The setting %(setting)s of merchant %(merchant)s could not be used; by now it can.")
        said = {"setting": quoted(setting), "merchant": quoted(row.merchant)}
        return Explanation(meaning % said, _("WeChat's next attempt is taken; or process this one again."), "warn")
    meaning = _("A setting could not be used: %(detail)s") % {"detail": quoted(row.detail)}
    return Explanation(meaning, _("Run `manage.py check`: it names the setting and the mend."), "bad")


def probe(row: NotificationLog, known: Known) -> Explanation | None:
    meaning = _("WeChat tested whether this shop checks signatures, with a false one. The shop refused it, as it must.")
    return Explanation(meaning, _("Nothing to do: the real notification follows."), "quiet")


def unsigned(row: NotificationLog, known: Known) -> Explanation | None:
    return _from(row, _("It carries no signature (%(detail)s), so nothing says that WeChat sent it: from %(sender)s."))


def signature_invalid(row: NotificationLog, known: Known) -> Explanation | None:
    return _from(row, _("The signature does not fit the body that arrived from %(sender)s: %(detail)s."))


def algorithm_refused(row: NotificationLog, known: Known) -> Explanation | None:
    return _from(row, _("It asks for an algorithm that is not accepted here: %(detail)s (from %(sender)s)."))


def malformed(row: NotificationLog, known: Known) -> Explanation | None:
    return _from(row, _("What arrived from %(sender)s is no notification of this kind: %(detail)s."))


def too_large(row: NotificationLog, known: Known) -> Explanation | None:
    limit = MAX_XML_BYTES if row.api_version == "v2" else int(conf.MAX_BODY_BYTES)
    meaning = _("The body from %(sender)s is larger than the %(limit)d bytes that are taken; it was not read.")
    return _from(row, meaning, limit=limit)


def source_refused(row: NotificationLog, known: Known) -> Explanation | None:
    return _from(row, _("WeChat signed this, but it came from %(sender)s, an address that is not listed."))


def _from(row: NotificationLog, meaning: str, **said: object) -> Explanation:
    """A refusal whose hint says all that can be said about what to do."""
    facts = {"sender": row.remote_addr or _("an unknown address"), "detail": quoted(row.detail) or "-"} | said
    return Explanation(meaning % facts, "", "quiet")


def _header(row: NotificationLog, name: str) -> str:
    headers = {str(key).lower(): str(value) for key, value in (row.headers or {}).items()}
    return headers.get(name.lower(), "")


WORDS: dict[str, Words] = {
    "unknown_serial": unknown_serial,
    "stale": stale,
    "undecryptable": undecryptable,
    "wrong_merchant": wrong_merchant,
    "misconfigured": misconfigured,
    "probe": probe,
    "unsigned": unsigned,
    "signature_invalid": signature_invalid,
    "algorithm_refused": algorithm_refused,
    "malformed": malformed,
    "too_large": too_large,
    "source_refused": source_refused,
}
