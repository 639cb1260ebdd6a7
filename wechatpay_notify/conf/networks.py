"""Lists of networks among the settings: text in, networks out.

Never guesses: of a list with one wrong entry nothing is used, and no entry is shown that is not a network.
"""

from ipaddress import IPv4Network, IPv6Network, ip_network

from wechatpay_notify.protocol.errors import Misconfigured

Networks = tuple[IPv4Network | IPv6Network, ...]


def parse_networks(setting: str, given: object) -> Networks:
    """Parse the value of a setting that lists networks. Raises Misconfigured."""
    if not isinstance(given, list | tuple | set | frozenset):
        raise Misconfigured(f"{setting} is a {type(given).__name__}, not a list of networks")
    return tuple(_network(f"{setting}[{index}]", entry) for index, entry in enumerate(given))


def _network(where: str, entry: object) -> IPv4Network | IPv6Network:
    if not isinstance(entry, str):  # ip_network(1) would be 0.0.0.1
        raise Misconfigured(f"{where} is a {type(entry).__name__}, not text")
    try:
        return ip_network(entry)
    except ValueError as error:
        raise Misconfigured(f"{where} {_mend(entry)}") from error


def _mend(entry: str) -> str:
    try:
        return f"has bits set beyond its prefix: the network is {ip_network(entry, strict=False)}"
    except ValueError:
        return "is no network or address"
