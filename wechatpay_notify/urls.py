"""The callback URLs, with and without a trailing slash, and the helper that names them to WeChat."""

import ipaddress
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.urls import path, reverse

from .conf import DEFAULT_ALIAS, conf
from .protocol.types import Version
from .views import NotifyView, V2NotifyView, V3NotifyView

app_name = "wechatpay_notify"
MAX_NOTIFY_URL = 255
"""Characters WeChat takes for notify_url."""

_VIEWS = {"notify": NotifyView, "v3": V3NotifyView, "v2": V2NotifyView}

urlpatterns = [
    # The last pattern of a name is the one reverse() takes: the one with the slash.
    path(route + slash, view.as_view(), name=name)
    for name, view in _VIEWS.items()
    for route in (name, f"{name}/<str:alias>")
    for slash in ("", "/")
]


class InvalidNotifyURL(ImproperlyConfigured, ValueError):
    """The URL is one that WeChat refuses or cannot reach."""


def notify_url(*, merchant: str = DEFAULT_ALIAS, version: Version | None = None, base_url: str | None = None) -> str:
    """The absolute URL to hand to WeChat as `notify_url` when ordering.

    `base_url` (default BASE_URL), never the Host header, says where the shop is; `version` None is the URL that takes
    v2 and v3. Raises InvalidNotifyURL for what WeChat refuses: no http(s), a query string, localhost, a private
    address, over 255 characters (protocol, 1.1).
    """
    base = base_url or conf.BASE_URL
    if not base:
        raise InvalidNotifyURL('there is no base URL: set WECHATPAY_NOTIFY["BASE_URL"] = "https://shop.example"')
    if conf.merchant(merchant) is None:
        raise InvalidNotifyURL(f"there is no merchant {merchant!r} in MERCHANTS")
    arguments = {} if merchant == DEFAULT_ALIAS else {"alias": merchant}
    url = str(base).rstrip("/") + reverse(f"wechatpay_notify:{version or 'notify'}", kwargs=arguments)
    problem = _problem(url)
    if problem:
        raise InvalidNotifyURL(f"WeChat would refuse {url[:300]!r}: {problem}")
    return url


def _problem(url: str) -> str:  # noqa: PLR0911 (a list of guards)
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        parts.port  # noqa: B018 (raises ValueError for junk)
    except ValueError:
        return "it is no URL"
    if parts.scheme not in ("http", "https") or not host:
        return "it must begin with https:// (or http://) and a host"
    if parts.query or parts.fragment or "?" in url or "#" in url:
        return "a query string or fragment is not allowed; tell merchants apart by the path"
    if parts.username or parts.password is not None:
        return "a user name is not allowed"
    if not url.isascii() or not url.isprintable() or " " in url:
        return "only ASCII characters without spaces are allowed"
    if len(url) > MAX_NOTIFY_URL:
        return f"it has {len(url)} characters, allowed are {MAX_NOTIFY_URL}"
    return _host_problem(host)


def _host_problem(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.rstrip(".").lower()
        labels = name.split(".")
        if not all(labels) or labels[-1].isdigit() or labels[-1].startswith("0x"):
            return "the host is a number in disguise, or has an empty part"
        if "." not in name or name.endswith((".localhost", ".local", ".internal", ".test", ".invalid")):
            return "the host must be a public name; for localhost use `manage.py wechatpay_simulate`"
        return ""
    return "" if address.is_global else "the host must be a public address, not a private one or localhost"
