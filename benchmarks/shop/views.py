"""What ours is compared with: the least a paid order costs in Django, and callbacks as shops write them."""

import json
import os
from typing import Any

import wechatpayv3
from cryptography.hazmat.primitives import serialization
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.csrf import csrf_exempt

from .models import Payment, Shipment, ShopOrder
from .platform import PLATFORM


def _client() -> Any:
    """wechatpayv3, given the public key; with every key at hand it has nothing to ask WeChat, and cannot."""
    key = PLATFORM.private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    client = wechatpayv3.WeChatPay(
        wechatpay_type=wechatpayv3.WeChatPayType.JSAPI,
        mchid=PLATFORM.mchid,
        private_key=key.decode(),
        cert_serial_no="00",
        appid=PLATFORM.appid,
        apiv3_key=PLATFORM.api_v3_key,
        public_key=PLATFORM.public_pem(),
        public_key_id=PLATFORM.serial,
    )
    client._core.request = _no_network
    return client


def _no_network(*_: Any, **__: Any) -> Any:
    raise RuntimeError("the benchmark must not call out")


CLIENT = _client()


@csrf_exempt
def bare(request: HttpRequest, number: str) -> HttpResponse:
    """No WeChat at all: one row inserted, one order updated under a lock."""
    with transaction.atomic():
        Shipment.objects.create(number=number)
        order = ShopOrder.objects.select_for_update().get(number=number)
        order.status, order.paid_at = "paid", timezone.now()
        order.save()
    return JsonResponse({"code": "SUCCESS"})


@csrf_exempt
def written_by_hand(request: HttpRequest) -> HttpResponse:
    """As shops write it: verify, keep the payment (which tells duplicates), mark the order, fulfil."""
    result = CLIENT.callback(request.headers, request.body)
    if not result or result.get("event_type") != "TRANSACTION.SUCCESS":
        return JsonResponse({"code": "FAIL", "message": "失败"}, status=500)
    resource = result["resource"]
    with transaction.atomic():
        _, created = Payment.objects.get_or_create(
            transaction_id=resource["transaction_id"],
            defaults={
                "number": resource["out_trade_no"],
                "amount": resource["amount"]["total"],
                "resource": json.dumps(resource),
            },
        )
        if created:
            _pay(resource)
    return JsonResponse({"code": "SUCCESS", "message": "成功"})


@csrf_exempt
def lean(request: HttpRequest) -> HttpResponse:
    """The same without keeping the payment: nothing tells afterwards what WeChat said."""
    result = CLIENT.callback(request.headers, request.body)
    if not result or result.get("event_type") != "TRANSACTION.SUCCESS":
        return JsonResponse({"code": "FAIL", "message": "失败"}, status=500)
    with transaction.atomic():
        _pay(result["resource"])
    return JsonResponse({"code": "SUCCESS", "message": "成功"})


def _pay(resource: dict[str, Any]) -> None:
    order, _ = ShopOrder.objects.get_or_create(
        number=resource["out_trade_no"], defaults={"amount": resource["amount"]["total"]}
    )
    if order.status != "paid" and order.amount == resource["amount"]["total"]:
        order.status, order.transaction_id = "paid", resource["transaction_id"]
        order.paid_at = parse_datetime(resource["success_time"])
        order.save()
        Shipment.objects.create(number=order.number)


def worker(request: HttpRequest) -> HttpResponse:
    """Which gunicorn worker this connection belongs to."""
    return HttpResponse(str(os.getpid()))
