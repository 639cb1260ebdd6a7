"""Settings of the shop that the races run against; tests/races/server.py starts it with these two variables."""

import os
from pathlib import Path

from tests.races.configurations import CONFIGURATIONS
from wechatpay_notify.testing import development_merchant

DIRECTORY = Path(os.environ["WECHATPAY_RACE_DIRECTORY"])
"""Holds what must survive a rollback and a killed worker: the keys, and the receivers' calls."""

DATABASES = {
    "default": CONFIGURATIONS[os.environ["WECHATPAY_RACE_CONFIGURATION"]].database(
        os.environ["WECHATPAY_RACE_DATABASE_NAME"]
    )
}
DEBUG = False
SECRET_KEY = "only for the tests"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.races.urls"
USE_TZ = True
TIME_ZONE = "Asia/Shanghai"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["wechatpay_notify", "tests.shop", "tests.races"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
WECHATPAY_NOTIFY = {"MERCHANTS": {"default": development_merchant(DIRECTORY)}}
