"""The doctor: why a request was refused, found out from its bytes and all configured keys.

Never accepts anything: its answer is a tuple of symptoms, in work that is bounded whatever the bytes.
"""

from collections.abc import Mapping

from wechatpay_notify.protocol.types import Merchant, Version

from . import v2, v3
from .symptoms import Case, Symptom, several, symptom

__all__ = ["Symptom", "examine", "symptom"]

_EXAMINE = {"v2": v2.examine, "v3": v3.examine}


def examine(
    version: Version,
    headers: Mapping[str, str],
    body: bytes,
    merchants: Mapping[str, Merchant],
    alias: str,
    *,
    received_at: float,
) -> tuple[Symptom, ...]:
    """The explanations that fit, the best first; `mended` alone if it would be taken now.

    `version` is the URL's, `merchants` all whose keys may be tried, by alias, `alias` the URL's, `received_at` Unix
    seconds. Raises nothing, whatever the bytes.
    """
    if alias not in merchants:
        return (symptom("no_merchant", used=alias),)
    case = Case({_hyphened(name): value for name, value in headers.items()}, body, merchants, alias, received_at)
    start = body.lstrip()[:1]
    if (version, start) in (("v3", b"<"), ("v2", b"{")):
        return _of_other_version("v2" if version == "v3" else "v3", case)
    if not start and not any(name.startswith("wechatpay-") for name in case.headers):
        return (symptom("empty"),)
    found = tuple(_EXAMINE[version](case))
    if version == "v3" and start != b"{" and any(one.code == "headers_all_missing" for one in found):
        rewritten = v2.altered(case)  # XML that is encoded or packed does not begin as XML
        return (rewritten,) if rewritten else found
    underscored = [name for name in headers if "_" in name and _hyphened(name).startswith("wechatpay-")]
    return (*([several("headers_underscored", "names", underscored)] if underscored else []), *found)


def _hyphened(name: str) -> str:
    return name.lower().replace("_", "-")


def _of_other_version(other: Version, case: Case) -> tuple[Symptom, ...]:
    """A body of the other API version, and what is to be said of it at its own URL."""
    found = tuple(_EXAMINE[other](case))
    if [one.code for one in found] == ["mended"]:
        return (symptom("other_version_verifies", other=other),)
    return (symptom("other_version", other=other), *found)
