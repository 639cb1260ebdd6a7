"""Settings of the shop that is killed; whoever starts it names its directory and its database in the environment."""

import json
import os
from pathlib import Path

from wechatpay_notify.testing import development_merchant

DIRECTORY = Path(os.environ["WECHATPAY_CHAOS_DIRECTORY"])
"""Holds the keys, and the way of delivery in force, which a process reads when it starts."""

DATABASES = {
    "default": json.loads(os.environ["WECHATPAY_CHAOS_DATABASE"]) | {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
}
DEBUG = False
SECRET_KEY = "only for the tests"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.chaos.urls"
USE_TZ = True
TIME_ZONE = "Asia/Shanghai"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["wechatpay_notify", "tests.shop", "tests.chaos"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
WECHATPAY_NOTIFY = {
    "MERCHANTS": {"default": development_merchant(DIRECTORY)},
    "ORDER_RESOLVER": "tests.chaos.receivers.expected_order",
    "DELIVERY": (DIRECTORY / "delivery").read_text(),
}
