"""The shop's own desk, over HTTP, so that what the shop does runs in the same servers under the same settings."""

import io
import json
from collections import Counter
from datetime import timedelta

from django.conf import settings
from django.core.management import call_command
from django.db import transaction
from django.http import JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from tests.shop.models import Shipment
from wechatpay_notify import retention
from wechatpay_notify.delivery import deliver_due
from wechatpay_notify.delivery.again import deliver_again
from wechatpay_notify.models import Discrepancy, NotificationLog, Order, Refund, SignalDelivery
from wechatpay_notify.replay import process_again

from .receivers import gate_of


@csrf_exempt
def orders(request):
    """Create the orders the shop expects to be paid."""
    for details in json.loads(request.body):
        Order.objects.expect(**details)
    return JsonResponse({})


@csrf_exempt
def close(request):
    """Close one order."""
    order = Order.objects.get(out_trade_no=json.loads(request.body))
    return JsonResponse({"closed": Order.objects.close(order)})


@csrf_exempt
def amend(request):
    """Correct the amount of an order."""
    number, amount = json.loads(request.body)
    Order.objects.filter(out_trade_no=number).update(amount=amount)
    return JsonResponse({})


@csrf_exempt
def shelves(request):
    """Two rows for receivers to lock."""
    number = json.loads(request.body)
    Shipment.objects.bulk_create([Shipment(out_trade_no=f"shelf-{number}", receiver="shelf") for _ in range(2)])
    return JsonResponse({})


@csrf_exempt
@transaction.non_atomic_requests
def gate(request):
    """Let the waiting receiver of this order go on."""
    gate_of(json.loads(request.body)).touch()
    return JsonResponse({})


@csrf_exempt
@transaction.non_atomic_requests
def age(request):
    """All that arrived until now did so more than a year ago."""
    NotificationLog.objects.update(received_at=timezone.now() - timedelta(days=400))
    return JsonResponse({})


@csrf_exempt
@transaction.non_atomic_requests
def prune(request):
    """Delete old notifications, five at a time."""
    retention.BATCH = 5
    out = io.StringIO()
    call_command("wechatpay_prune", "--pause", "0.01", stdout=out)
    return JsonResponse({"said": out.getvalue()})


@csrf_exempt
@transaction.non_atomic_requests
def replay(request):
    """Process again what arrived first of this number."""
    row = NotificationLog.objects.filter(out_trade_no=json.loads(request.body), replay_of=None).earliest("pk")
    return JsonResponse({"outcome": process_again(row).outcome})


@csrf_exempt
@transaction.non_atomic_requests
def again(request):
    """Deliver again what this order's receivers were told, or were not."""
    number, force = json.loads(request.body)
    pks = list(SignalDelivery.objects.filter(order__out_trade_no=number).values_list("pk", flat=True))
    return JsonResponse(deliver_again(pks, force=force))


@csrf_exempt
@transaction.non_atomic_requests
def work(request):
    """Be a worker until nothing is due."""
    return JsonResponse(deliver_due())


@csrf_exempt
@transaction.non_atomic_requests
def hurry(request):
    """What is pending is due now: what was noted for later, and what a dead worker had reserved."""
    waiting = SignalDelivery.objects.filter(status=SignalDelivery.Status.PENDING)
    return JsonResponse({"hurried": waiting.update(next_attempt_at=timezone.now())})


@transaction.non_atomic_requests  # reading must not wait for a receiver, as BEGIN IMMEDIATE would
def report(request):
    """All that is on record about these order numbers."""
    numbers = request.GET.getlist("number")
    return JsonResponse({number: _about(number) for number in numbers})


def _about(number):
    order = Order.objects.filter(out_trade_no=number).values().first()
    refunds = Refund.objects.filter(order=order["id"]) if order else []
    discrepancies = Discrepancy.objects.filter(out_trade_no=number)
    subjects = [f"discrepancy:{row.pk}" for row in discrepancies] + ([f"order:{order['id']}"] if order else [])
    subjects += [f"refund:{row.pk}:{status}" for row in refunds for status in Refund.Status.values]
    return {
        "status": order and order["status"],
        "transaction": order and order["transaction_id"],
        "refunded": order and order["refunded_amount"],
        "refunds": {row.out_refund_no: [row.status, row.amount] for row in refunds},
        # In the order they came about: a Counter keeps it, and so does JSON.
        "effects": Counter(
            Shipment.objects.filter(out_trade_no=number).order_by("pk").values_list("receiver", flat=True)
        ),
        "calls": {path.name.partition(".")[0]: path.stat().st_size for path in _calls(number)},
        "deliveries": Counter(SignalDelivery.objects.filter(subject__in=subjects).values_list("status", flat=True)),
        "discrepancies": {row.reason: row.resolved_at is None for row in discrepancies},
        "outcomes": Counter(NotificationLog.objects.filter(out_trade_no=number).values_list("outcome", flat=True)),
        "unanswered": NotificationLog.objects.filter(out_trade_no=number, http_status=None, replay_of=None).count(),
    }


def _calls(number):
    return [path for path in (settings.DIRECTORY / "calls").glob(f"*.{number}") if path.stat().st_size]
