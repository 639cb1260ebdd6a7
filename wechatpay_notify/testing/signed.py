"""A signed request, and the ways to send it: through a Django test client, or over HTTP."""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from wechatpay_notify.protocol.v3 import PROBE_PREFIX


@dataclass(frozen=True, slots=True)
class Signed:
    """A request as WeChat would send it."""

    headers: dict[str, str]
    body: bytes

    def post(self, client: Any, path: str, **extra: Any) -> Any:
        """Post it with a Django test client.

        `client.generic`, because `client.post` re-encodes a signed body for some content types.
        """
        return client.generic(
            "POST", path, self.body, content_type=self.headers["Content-Type"], headers=self.headers, **extra
        )

    def send(self, url: str, *, timeout: float = 10) -> tuple[int, bytes]:
        """Send it over HTTP; returns status and body. `timeout` in seconds. Raises OSError."""
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
        try:
            connection.request("POST", parts.path, self.body, self.headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def with_body(self, body: bytes) -> "Signed":
        """The same signature over other bytes."""
        return Signed(self.headers, body)

    def tampered(self) -> "Signed":
        """The same with another body: one byte more (v3), more money (v2), another ciphertext (v2 refund)."""
        if not self.body.startswith(b"<xml>"):
            return self.with_body(self.body.replace(b"{", b"{ ", 1))
        before, sealed, after = self.body.partition(b"<req_info>")
        if sealed:
            return self.with_body(before + sealed + (b"B" if after.startswith(b"A") else b"A") + after[1:])
        return self.with_body(self.body.replace(b"</total_fee>", b"0</total_fee>", 1))

    def probe(self) -> "Signed":
        """The same v3 body under the false signature with which WeChat tests whether a shop verifies."""
        signature = PROBE_PREFIX + self.headers["Wechatpay-Signature"][len(PROBE_PREFIX) :]
        return Signed(self.headers | {"Wechatpay-Signature": signature}, self.body)


def xml(fields: Mapping[str, str], root: str = "xml") -> Signed:
    """These elements as WeChat writes XML, whatever `sign` they hold."""
    text = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
    return Signed({"Content-Type": "text/xml", "User-Agent": "Mozilla/4.0"}, f"<{root}>{text}</{root}>".encode())
