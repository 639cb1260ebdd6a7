"""NotificationLog: one row for each stored delivery of WeChat's, with what was decided and answered.

Never edited or deleted by hand (retention.py deletes whole rows); only the answer is completed once, after storing.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from wechatpay_notify.protocol.errors import NotificationError
from wechatpay_notify.protocol.results import ORDER_NUMBER, read
from wechatpay_notify.protocol.types import Kind, Notification

from .fields import ExactCharField, JSONTextField


class NotificationLog(models.Model):
    """No foreign key to Order: refused and unknown ones are found by the number they claim."""

    class Version(models.TextChoices):
        V2 = "v2", "v2"
        V3 = "v3", "v3"

    received_at = models.DateTimeField(_("received at"))
    api_version = models.CharField(_("API version"), max_length=2, choices=Version)
    merchant = ExactCharField(_("merchant"), max_length=64)
    remote_addr = models.GenericIPAddressField(_("sender's address"), null=True, blank=True)
    headers = JSONTextField(_("headers"), default=dict)
    body = models.BinaryField(_("body"))
    resource = JSONTextField(_("resource"), default=None, blank=True)
    verified = models.BooleanField(_("proven genuine"), default=False)
    notification_id = ExactCharField(_("notification id"), max_length=64, default="", blank=True)
    event_type = ExactCharField(_("event type"), max_length=64, default="", blank=True)
    out_trade_no = ExactCharField(_("merchant order number"), max_length=32, default="", blank=True)
    transaction_id = ExactCharField(_("WeChat transaction"), max_length=32, default="", blank=True)
    out_refund_no = ExactCharField(_("merchant refund number"), max_length=64, default="", blank=True)
    outcome = ExactCharField(_("outcome"), max_length=20, default="", blank=True)
    detail = models.CharField(_("detail"), max_length=500, default="", blank=True)
    http_status = models.PositiveSmallIntegerField(_("HTTP status answered"), null=True, blank=True)
    duration_ms = models.PositiveIntegerField(_("milliseconds"), null=True, blank=True)
    attempt_estimate = models.PositiveSmallIntegerField(_("attempt (estimate)"), null=True, blank=True)
    replay_of = models.BigIntegerField(_("processed again from"), null=True, blank=True)
    """Primary key of the row whose stored bytes were taken again; NULL for what WeChat itself sent."""

    class Meta:
        verbose_name = _("notification")
        verbose_name_plural = _("notifications")
        ordering = ("-received_at", "-id")
        permissions = (
            ("process_notificationlog", _("Can process notifications again")),
            ("reverify_notificationlog", _("Can verify refused notifications again")),
            ("export_notificationlog", _("Can export notifications")),
        )
        indexes = (
            models.Index(fields=["-received_at", "-id"], name="wechatpay_log_received"),
            models.Index(fields=["outcome", "-received_at", "-id"], name="wechatpay_log_outcome"),
            models.Index(fields=["out_trade_no"], name="wechatpay_log_order"),
            models.Index(fields=["transaction_id"], name="wechatpay_log_transaction"),
            models.Index(fields=["notification_id"], name="wechatpay_log_notification"),
        )

    def __str__(self) -> str:
        return f"{self.pk}"  # nothing the sender claimed: this text goes everywhere

    def order_numbers(self) -> list[str]:
        """The merchant order numbers it names: of a combined payment its own and those of its sub orders."""
        numbers = {self.out_trade_no} - {""}
        if self.verified and self.resource:
            notification = self.as_notification("payment", self.resource)
            with contextlib.suppress(NotificationError):  # genuine, but no payment
                numbers |= {payment.out_trade_no for payment in read(notification)}
        return sorted(number for number in numbers if ORDER_NUMBER.fullmatch(number))

    def as_notification(self, kind: Kind, resource: Mapping[str, Any], *, event_type: str = "") -> Notification:
        """What `results.read` takes, of this version; without an event it reads whatever fits the kind."""
        return Notification(
            version="v2" if self.api_version == self.Version.V2 else "v3",
            kind=kind,
            notification_id="",
            event_type=event_type,
            resource=resource,
            created_at=None,
            digest="",
        )
