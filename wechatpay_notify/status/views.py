"""What a customer's browser may know of an order: whether it is paid.

Never more than that: whoever holds the unguessable `public_id` sees five fields, none of them personal.
"""

import hashlib
import uuid
from collections.abc import Iterable
from typing import Any

from django.http import Http404
from django.utils.cache import add_never_cache_headers
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.permissions import AllowAny
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import AnonRateThrottle
from rest_framework.views import APIView, exception_handler

from wechatpay_notify.log import logger
from wechatpay_notify.models import Order


class StatusThrottle(AnonRateThrottle):
    """By address, generous: many phones share one behind a mobile carrier, and a page polls every two seconds."""

    scope = "wechatpay_notify_status"
    rate = "600/min"

    def get_ident(self, request: Request) -> str:
        # Hashed: X-Forwarded-For is the caller's to write, a cache key has a limited form.
        return hashlib.sha256(super().get_ident(request).encode()).hexdigest()

    def allow_request(self, request: Request, view: APIView) -> bool:
        try:
            return bool(super().allow_request(request, view))
        except Exception:  # whatever a cache backend raises: a page must see that its order is paid
            logger.warning("the cache failed; the order-status API is not throttled", exc_info=True)
            return True


class JSONAlone(BaseContentNegotiation):
    """Whatever the Accept header says, the answer is JSON."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        return None

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


class OrderStatusView(APIView):
    """GET → `{out_trade_no, status, amount, currency, paid_at}`; every policy pinned, whatever REST_FRAMEWORK says."""

    http_method_names = ["get", "head"]
    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = (StatusThrottle,)
    renderer_classes = (JSONRenderer,)
    parser_classes = ()
    content_negotiation_class = JSONAlone
    versioning_class = None

    def get_exception_handler(self) -> Any:
        return exception_handler

    def get(self, request: Request, public_id: uuid.UUID) -> Response:
        order = Order.objects.filter(public_id=public_id).first()
        if order is None:
            raise Http404
        return Response(
            {
                "out_trade_no": order.out_trade_no,
                "status": order.status,
                "amount": order.amount,
                "currency": order.currency,
                "paid_at": order.paid_at,
            }
        )

    def finalize_response(self, request: Request, response: Response, *args: object, **kwargs: object) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        add_never_cache_headers(response)
        return response
