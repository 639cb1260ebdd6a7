"""The callbacks: plain synchronous Django views that read the raw bytes first and answer in WeChat's form.

Never a DRF view (a host's REST_FRAMEWORK settings would answer for us), never behind CSRF, login or ATOMIC_REQUESTS.
"""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.views import View

from . import processing, sources
from .conf import DEFAULT_ALIAS, conf
from .log import logger
from .outcomes import OUTCOMES
from .protocol import answers
from .protocol.errors import Misconfigured
from .protocol.flatxml import MAX_XML_BYTES
from .protocol.types import Version

START = 64
"""Bytes that are read of a body that is too large, to answer in the form of its version."""


class NotifyView(View):
    """Takes v2 and v3, told apart by the first byte that is no white space."""

    http_method_names = ["post"]
    version: Version | None = None
    merchant: str | None = None
    """Alias, for a view mounted on a path of the shop's own: `V2NotifyView.as_view(merchant="default")`."""

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., HttpResponse]:
        view: Any = super().as_view(**initkwargs)
        view.csrf_exempt = True
        view.login_required = False  # for LoginRequiredMiddleware
        # Under ATOMIC_REQUESTS the log row of a failure would be rolled back with it: cover every alias.
        for alias in settings.DATABASES:
            view = transaction.non_atomic_requests(using=alias)(view)
        return view  # type: ignore[no-any-return]

    def post(self, request: HttpRequest, alias: str | None = None) -> HttpResponse:
        alias = alias or self.merchant or DEFAULT_ALIAS
        start, body = _read(request, MAX_XML_BYTES if self.version == "v2" else int(conf.MAX_BODY_BYTES))
        version = self.version or processing.looks_like(start if body is None else body)
        try:
            config = conf.merchant(alias)
            taken = config is not None and config.takes(version)
        except Misconfigured as error:
            numbers = {"outcome": "misconfigured", "merchant": alias[:64]}
            logger.error("%s", ascii(error.detail)[:200], extra=numbers)
            return _plain(version, "misconfigured")
        except Exception:
            numbers = {"outcome": "unavailable", "merchant": alias[:64]}
            logger.warning("the merchant provider raised for %s", ascii(alias)[:64], exc_info=True, extra=numbers)
            return _plain(version, "unavailable")
        if config is None or not taken:
            logger.info("no merchant %s that takes %s", ascii(alias)[:64], version)
            return _respond(version, 404, answers.plain(version, "rejected"))
        sender = sources.client_address(request.META)
        reply = processing.receive(version, request.headers, body, config, remote_addr=sender)
        return _respond(version, reply.outcome.http_status(version), reply.content)


class V2NotifyView(NotifyView):
    """Takes API v2 XML alone."""

    version = "v2"


class V3NotifyView(NotifyView):
    """Takes API v3 JSON alone."""

    version = "v3"


def _read(request: HttpRequest, limit: int) -> tuple[bytes, bytes | None]:
    """How the body starts, and its exact bytes: None if there are more than `limit`, empty if something read it before.

    `read()` and not `body`: DATA_UPLOAD_MAX_MEMORY_SIZE is for forms, and a body without a length has none to check.
    """
    length = request.META.get("CONTENT_LENGTH") or ""
    too_large = length.isascii() and length.isdigit() and (len(length) > 18 or int(length) > limit)
    try:
        body: bytes = request.read(START if too_large else limit + 1)
    except UnreadablePostError:
        return b"", b""
    if not hasattr(request, "_body"):
        request._body = body  # for a middleware that looks at request.body after us
    return body[:START], None if too_large or len(body) > limit else body


def _plain(version: Version, code: str) -> HttpResponse:
    outcome = OUTCOMES[code]
    return _respond(version, outcome.http_status(version), answers.plain(version, outcome.word))


def _respond(version: Version, status: int, content: str) -> HttpResponse:
    # Bytes: text would be encoded by the host's DEFAULT_CHARSET.
    return HttpResponse(content.encode(), status=status, content_type=answers.CONTENT_TYPES[version])
