"""Settings of the shop whose receivers run in a task engine; tests/engines/engine.py gives these variables."""

import os

from tests.races.settings import *  # noqa: F403
from tests.races.settings import INSTALLED_APPS, WECHATPAY_NOTIFY

INSTALLED_APPS += ["django_tasks_db", "tests.engines"]
ROOT_URLCONF = "tests.engines.urls"
WECHATPAY_NOTIFY["DELIVERY"] = os.environ["WECHATPAY_ENGINE_WAKE"]

TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}

CELERY_BROKER_URL = os.environ["WECHATPAY_ENGINE_BROKER"]
CELERY_TASK_DEFAULT_QUEUE = os.environ["WECHATPAY_ENGINE_QUEUE"]
CELERY_BROKER_TRANSPORT_OPTIONS = {"global_keyprefix": os.environ["WECHATPAY_ENGINE_QUEUE"]}
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_IMPORTS = ["wechatpay_notify.contrib.celery"]
CELERY_BEAT_SCHEDULE = {"wechatpay_notify": {"task": "wechatpay_notify.deliver", "schedule": 1}}
