"""Settings of the benchmark's site. The environment says which database, by which name, and where the keys lie."""

import os

from shop.platform import PLATFORM

NAME = os.environ["BENCHMARK_NAME"]
DATABASES = {
    "default": {
        "sqlite": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": NAME,
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 3,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
            },
        },
        "postgresql": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": NAME,
            "HOST": os.environ.get("PGHOST", "127.0.0.1"),
            "USER": os.environ.get("PGUSER", "postgres"),
        },
    }[os.environ["BENCHMARK_DATABASE"]]
    | {"CONN_MAX_AGE": None, "TEST": {"NAME": NAME}}
}
DEBUG = False
SECRET_KEY = "only for the benchmark"
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
ROOT_URLCONF = "shop.urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["wechatpay_notify", "shop"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]
LOGGING = {"version": 1, "disable_existing_loggers": False, "root": {"level": "CRITICAL"}}
WECHATPAY_NOTIFY = {
    "MERCHANTS": {"default": PLATFORM.merchant()},
    "DELIVERY": os.environ.get("BENCHMARK_DELIVERY", "inline"),
}
