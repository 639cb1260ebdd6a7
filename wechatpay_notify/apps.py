"""The Django app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WechatpayNotifyConfig(AppConfig):
    name = "wechatpay_notify"
    verbose_name = _("WeChat Pay notifications")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks  # noqa: F401, PLC0415  (registers the system checks, which read the models)
