"""What the shop's desk can do about its worker, besides tests/races/desk.py."""

import json

from django.http import JsonResponse
from django.views.decorators.csrf import csrf_exempt

from wechatpay_notify.conf import conf


@csrf_exempt
def wake(request):
    """Wake the worker so many times, whether or not there is anything to do."""
    for _ in range(json.loads(request.body)):
        conf.wake()
    return JsonResponse({})
