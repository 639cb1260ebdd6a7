"""Source addresses: where a request came from, and whether the shop expects WeChat there.

Never proves anything: an address is a second wall behind the signature. Never believes a header of an untrusted peer.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from .conf import conf
from .conf.networks import Networks, parse_networks
from .protocol.errors import Misconfigured, SourceRefused

PUBLISHED_WORD = "published"
POLICIES = ("log", "reject")
_MAINLAND = (  # v2 and v3: networks; Guangzhou; refunds and profit sharing
    "101.226.103.0/25 140.207.54.0/25 121.51.58.128/25 183.3.234.0/25 58.251.80.0/25 121.51.30.128/25 "
    "203.205.219.128/25 81.71.199.64 81.71.198.25 81.71.199.59 "
    "175.24.214.208 175.24.211.24 175.24.213.135 109.244.180.23 114.132.203.119 43.139.43.69"
)
_GLOBAL = (  # doc/global/v3/zh/4016271743 of 2025-11-25
    "101.226.103.0/25 140.207.54.0/25 121.51.58.128/25 183.3.234.0/25 58.251.80.0/25 121.51.30.128/25 "
    "162.62.214.129 43.130.234.138 43.131.228.178 43.133.14.225 43.133.202.169 43.153.241.56 43.153.244.194 "
    "43.153.244.52 43.155.125.174 43.155.169.179 43.155.179.63 43.157.108.179 43.157.90.235 43.159.160.121 "
    "43.159.160.129 43.159.160.232 43.163.128.121 43.163.128.16 43.154.94.175 43.132.183.192 101.32.203.103 "
    "43.137.145.80 124.222.226.60 43.141.7.182"
)
PUBLISHED: Networks = tuple(dict.fromkeys(parse_networks("PUBLISHED", f"{_MAINLAND} {_GLOBAL}".split())))
"""What WeChat Pay asks merchants with a firewall to let through (protocol, section 4), as of November 2026. The lists
grew in 2021, 2023, 2024 and 2025 and were never offered as a proof of origin: so they are only ever logged against."""


def client_address(meta: Mapping[str, Any]) -> str | None:
    """The address that a request (its META) came from: the peer's, or the one that trusted proxies name.

    X-Forwarded-For is walked from the right, where the nearest proxy writes; what is no address ends the walk.
    """
    address = _address(meta.get("REMOTE_ADDR") or "")
    for hop in reversed((meta.get("HTTP_X_FORWARDED_FOR") or "").split(",")):
        before = _address(_bare(hop)) if address is not None and _is_in(address, _proxies()) else None
        if before is None:
            break
        address = before
    return None if address is None else str(address)


def remark(address: str | None) -> str:
    """What a proven notification from this address is to be marked with; "" when it came from where it should.

    Raises SourceRefused where the policy says so, and Misconfigured where it would, had the settings been usable.
    """
    if conf.SOURCE_NETWORKS is None:
        return ""
    only_logs = conf.SOURCE_NETWORKS == PUBLISHED_WORD or conf.SOURCE_POLICY == "log"
    try:
        networks = _expected()
    except Misconfigured as error:
        if only_logs:
            return f"the sender's address was not checked: {error.detail}"
        raise Misconfigured(error.detail, proven=True) from None
    if address is not None and _is_in(ip_address(address), networks):
        return ""
    found = f"the sender's address {address or '(unknown)'} is not in SOURCE_NETWORKS"
    if only_logs:
        return found
    raise SourceRefused(found, proven=True)


def _expected() -> Networks:
    """The networks to compare with. Raises Misconfigured unless all that the comparison rests on is usable."""
    conf.trusted_proxies  # noqa: B018 (raises; with the wrong proxies it would be the wrong address)
    if conf.SOURCE_NETWORKS == PUBLISHED_WORD:
        return PUBLISHED
    if conf.SOURCE_POLICY not in POLICIES:
        raise Misconfigured("SOURCE_POLICY is neither 'log' nor 'reject'")
    return conf.source_networks


def _proxies() -> Networks:
    try:
        return conf.trusted_proxies
    except Misconfigured:
        return ()


def _is_in(address: IPv4Address | IPv6Address, networks: Networks) -> bool:
    return any(address in network for network in networks)


def _bare(hop: str) -> str:
    """An entry of X-Forwarded-For without spaces, brackets and port."""
    hop = hop.strip()
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An IPv4 address behind an IPv6 socket is an IPv4 address; one with a zone is none that a database takes."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    return None if address.scope_id else address.ipv4_mapped or address
