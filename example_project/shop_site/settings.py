"""Settings of the example shop, for a developer's machine. What a shop of your own needs is marked with ①, ②, ③."""

import os
from pathlib import Path

from wechatpay_notify.testing import development_merchant

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("EXAMPLE_DATA_DIR", BASE_DIR)).resolve()
"""Where the database and the pretend WeChat's keys lie."""

DEBUG = True
SECRET_KEY = "of the example alone: never use it for a shop"
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ROOT_URLCONF = "shop_site.urls"
WSGI_APPLICATION = "shop_site.wsgi.application"
ASGI_APPLICATION = "shop_site.asgi.application"

THEME = os.environ.get("EXAMPLE_THEME", "")
"""Of the admin: none, or "unfold" (see shop/themed.py)."""
INSTALLED_APPS = [
    *([THEME] if THEME else []),  # before the admin, whose templates it replaces
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "wechatpay_notify",  # ①
    "shop",  # ② its AppConfig.ready() imports the receivers
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    # django-unfold's scripts are inline and evaluated: under this policy its pages do not work, Django's own do.
    *([] if THEME else ["shop_site.policy.content_security_policy"]),
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

WECHATPAY_NOTIFY = {  # ③
    # A real shop lists MCHID, API_V3_KEY and PLATFORM_KEYS here. These keys belong to the pretend WeChat that
    # `manage.py wechatpay_simulate` and `manage.py demo` play; they are made on first use.
    "MERCHANTS": {"default": development_merchant(DATA_DIR / ".wechatpay")},
    # Asked about payments for orders that were not announced with Order.objects.expect().
    "ORDER_RESOLVER": "shop.payments.expected_order",
    # "deferred": a worker runs the receivers, `manage.py wechatpay_deliver --loop`.
    "DELIVERY": os.environ.get("EXAMPLE_DELIVERY", "inline"),
}
PACKING_SECONDS = float(os.environ.get("EXAMPLE_PACKING_SECONDS", "0"))
"""How long a parcel takes; so that `demo --deferred` can kill a worker while it packs one."""

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "db.sqlite3",
        "OPTIONS": {
            # SQLite has one writer. With WAL readers never wait for it; IMMEDIATE takes the lock when a transaction
            # begins, where waiting is possible; whoever waits longer than this is answered 503, and WeChat comes again.
            "init_command": "PRAGMA journal_mode=WAL;",
            "transaction_mode": "IMMEDIATE",
            "timeout": 2,
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
TIME_ZONE = "Asia/Shanghai"
USE_TZ = True
STATIC_URL = "static/"
