"""The doctor: why a stored request was refused, in sentences for the admin, each with its mend.

Never accepts, stores or changes anything, and never says a word of a key.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.utils.functional import Promise

from wechatpay_notify.conf import DEFAULT_ALIAS, MerchantConfig, conf
from wechatpay_notify.log import warn
from wechatpay_notify.models import NotificationLog
from wechatpay_notify.protocol.doctor import Symptom, examine, symptom
from wechatpay_notify.protocol.types import Merchant, Version
from wechatpay_notify.refusals import CODES, is_cut

from .words import WORDS

__all__ = ["EXAMINED", "Finding", "diagnose", "diagnose_request"]

EXAMINED = CODES | {"wrong_merchant"}
"""Outcomes that are examined: a refusal that the bytes or the keys explain."""
_WITHOUT_BODY = ("unsigned", "probe", "algorithm_refused")
"""Outcomes for which the headers say enough, should the body be cut."""
_WHOSE = ("sp_mchid", "mchid", "mch_id", "combine_mchid", "combine_mch_id")


@dataclass(frozen=True, slots=True)
class Finding:
    """One explanation: what happened, and what to do about it."""

    code: str
    cause: str | Promise
    mend: str | Promise


def diagnose(row: NotificationLog) -> tuple[Finding, ...]:
    """Why this stored request was refused, the best explanation first; () if it was not refused.

    All configured keys are tried, those of other merchants too, as they are now; where MERCHANTS is a callable only
    this merchant's can be. Changes nothing and raises nothing.
    """
    if row.outcome not in EXAMINED:
        return ()
    try:
        return _in_words(_symptoms(row))
    except Exception as error:  # never a broken page of evidence, nor an error report with keys among its locals
        warn("the doctor failed", error.with_traceback(None))
        return ()


def diagnose_request(
    version: Version,
    headers: Mapping[str, str],
    body: bytes,
    *,
    alias: str = DEFAULT_ALIAS,
    received_at: float | None = None,
) -> tuple[Finding, ...]:
    """The same for bytes that are not stored: `version` is the URL's, `received_at` Unix seconds, now by default.

    A request that would be taken is found to be `mended`: it verifies. Raises nothing, whatever the bytes.
    """
    moment = time.time() if received_at is None else received_at
    try:
        return _in_words(examine(version, headers, body, _merchants(alias), alias, received_at=moment))
    except Exception as error:  # as above
        warn("the doctor failed", error.with_traceback(None))
        return ()


def _symptoms(row: NotificationLog) -> tuple[Symptom, ...]:
    body = bytes(row.body)
    configs = _configs(row.merchant)
    faults = sorted({fault.setting for fault in configs[row.merchant].faults}) if row.merchant in configs else []
    if row.outcome == "too_large":
        return (symptom("too_large", limit=conf.MAX_BODY_BYTES),)
    if row.outcome == "source_refused":
        return (symptom("source_refused", address=row.remote_addr or "-"),)
    if row.outcome == "wrong_merchant":
        return (_whose(row, configs),)
    if row.outcome == "misconfigured" and faults:
        return (symptom("misconfigured", settings=", ".join(name.partition("[")[0] for name in faults)),)
    if is_cut(row) and row.outcome not in _WITHOUT_BODY:
        return (symptom("body_cut", kept=len(body)),)
    merchants = {alias: config.merchant for alias, config in configs.items()}
    headers = {str(name): str(value) for name, value in (row.headers or {}).items()}
    version: Version = "v2" if row.api_version == NotificationLog.Version.V2 else "v3"
    return examine(version, headers, body, merchants, row.merchant, received_at=row.received_at.timestamp())


def _merchants(alias: str) -> dict[str, Merchant]:
    return {name: config.merchant for name, config in _configs(alias).items()}


def _configs(alias: str) -> dict[str, MerchantConfig]:
    """All merchants of the setting; of a provider this one alone, since it cannot be asked whom else it knows."""
    try:
        if conf.merchant_for is None:
            return dict(conf.merchants)
        config = conf.merchant(alias)
    except Exception as error:  # the host's own code
        warn("the doctor got no merchant", error)
        return {}
    return {} if config is None else {alias: config}


def _whose(row: NotificationLog, configs: Mapping[str, MerchantConfig]) -> Symptom:
    """Whom a proven notification names, if not the merchant of its URL."""
    resource = row.resource if isinstance(row.resource, Mapping) else {}
    said = next((str(resource[name]) for name in _WHOSE if resource.get(name)), "")
    named = [alias for alias, config in configs.items() if said and config.merchant.mchid == said]
    if row.merchant in named:
        return symptom("wrong_appid", mchid=said, used=row.merchant)
    if named:
        return symptom("wrong_alias", mchid=said, alias=named[0], used=row.merchant)
    return symptom("wrong_stranger", mchid=said or "-", used=row.merchant)


def _in_words(symptoms: Iterable[Symptom]) -> tuple[Finding, ...]:
    return tuple(Finding(one.code, WORDS[one.code][0] % one.facts, WORDS[one.code][1] % one.facts) for one in symptoms)
