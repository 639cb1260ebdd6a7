"""What the shop's desk can do about its worker, besides tests/races/desk.py."""

import json

from django.http import JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from wechatpay_notify.conf import conf
from wechatpay_notify.models import SignalDelivery


@csrf_exempt
def wake(request):
    """Wake the worker so many times, whether or not there is anything to do."""
    for _ in range(json.loads(request.body)):
        conf.wake()
    return JsonResponse({})


@csrf_exempt
def hurry(request):
    """Let the waits of all deliveries be over: what was noted for later, and what a dead worker had reserved."""
    waiting = SignalDelivery.objects.filter(status=SignalDelivery.Status.PENDING)
    return JsonResponse({"hurried": waiting.update(next_attempt_at=timezone.now())})
