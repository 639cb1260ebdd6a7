"""A signed request, and the ways to send it: through a Django test client, or over HTTP."""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from xml.sax.saxutils import escape


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
        """The same signature over other bytes: a tampered request."""
        return Signed(self.headers, body)


def xml(fields: Mapping[str, str], root: str = "xml") -> Signed:
    """These elements as WeChat writes XML, whatever `sign` they hold."""
    text = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
    return Signed({"Content-Type": "text/xml", "User-Agent": "Mozilla/4.0"}, f"<{root}>{text}</{root}>".encode())
