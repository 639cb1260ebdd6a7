"""Refund: one merchant refund number (商户退款单号) at WeChat, of one payment, and how far it has come.

States move by compare-and-set alone; nothing leaves SUCCESS or CLOSED.
"""

from typing import Any

from django.db import models, router
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from wechatpay_notify.protocol.results import REFUND_NUMBER
from wechatpay_notify.protocol.types import RefundResult

from .fields import ExactCharField
from .orders import Order, stored


class RefundQuerySet(models.QuerySet["Refund"]):
    """The verbs that record and move a refund."""

    def record(self, order: Order, result: RefundResult) -> "Refund":
        """A new row, as WeChat reports it. Raises IntegrityError when the number or the refund_id is there already."""
        refund = self.model(
            mchid=result.mchid,
            sub_mchid=result.sub_mchid,
            out_refund_no=result.out_refund_no,
            refund_id=result.refund_id,
            order=order,
            transaction_id=result.transaction_id,
            amount=result.amount,
            status=result.refund_status,
            success_time=stored(result.success_time),
        )
        refund.save(using=router.db_for_write(self.model), force_insert=True)
        return refund

    def move(self, refund: "Refund", result: RefundResult) -> bool:
        """`refund.status → result.refund_status`, if it is allowed and the row is as seen; says whether it moved."""
        if result.refund_status not in Refund.MOVES.get(refund.status, ()):
            return False
        rows = self.using(router.db_for_write(self.model)).filter(pk=refund.pk, status=refund.status)
        facts: dict[str, Any] = {
            "status": result.refund_status,
            "success_time": stored(result.success_time),
            "refund_id": result.refund_id,
            "updated_at": timezone.now(),
        }
        if not rows.update(**facts):
            return False
        for name, value in facts.items():
            setattr(refund, name, value)
        return True


class Refund(models.Model):
    """Several partial refunds of one payment are several of these; `Order.refunded_amount` adds them up."""

    class Status(models.TextChoices):
        PROCESSING = "PROCESSING", _("processing")
        SUCCESS = "SUCCESS", _("refunded")
        ABNORMAL = "ABNORMAL", _("abnormal")
        CLOSED = "CLOSED", _("closed")

    MOVES: dict[str, tuple[str, ...]] = {
        Status.PROCESSING: (Status.SUCCESS, Status.ABNORMAL, Status.CLOSED),
        Status.ABNORMAL: (Status.SUCCESS, Status.CLOSED),
    }
    """What each state may become; the others are final."""

    mchid = ExactCharField(_("merchant number"), max_length=32)
    sub_mchid = ExactCharField(_("sub-merchant number"), max_length=32, default="", blank=True)
    out_refund_no = ExactCharField(_("merchant refund number"), max_length=64)
    refund_id = ExactCharField(_("WeChat refund"), max_length=32, null=True, blank=True)
    # No constraint in the database: checking it would wait for a receiver that holds the order's row.
    order = models.ForeignKey(
        Order, models.PROTECT, db_constraint=False, related_name="refunds", verbose_name=_("order")
    )
    transaction_id = ExactCharField(_("WeChat transaction"), max_length=32, default="", blank=True)
    amount = models.BigIntegerField(_("amount in the minor unit"))
    status = ExactCharField(_("status"), max_length=10, choices=Status, default=Status.PROCESSING)
    success_time = models.DateTimeField(_("refunded at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    objects = RefundQuerySet.as_manager()

    class Meta:
        verbose_name = _("refund")
        verbose_name_plural = _("refunds")
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(fields=["out_refund_no", "mchid", "sub_mchid"], name="wechatpay_refund_number"),
            models.UniqueConstraint(fields=["refund_id"], name="wechatpay_refund_id"),
        )
        permissions = (("export_refund", _("Can export refunds")),)
        indexes = (models.Index(fields=["status", "-id"], name="wechatpay_refund_status"),)

    def __str__(self) -> str:
        return str(self.out_refund_no)

    def save(self, **kwargs: Any) -> None:
        """Insert a new refund; numbers that are left out are its order's. An existing row is never written.

        A stale instance saved by the shop must never put a refund back. Raises ValueError for a new one that cannot be.
        """
        if not self._state.adding:
            return
        self.mchid = self.mchid or self.order.mchid
        self.sub_mchid = self.sub_mchid or self.order.sub_mchid
        self.transaction_id = self.transaction_id or self.order.transaction_id or ""
        self._check_new()
        super().save(**kwargs)

    def _check_new(self) -> None:
        if type(self.amount) is not int or self.amount < 1:
            raise ValueError(f"amount {self.amount!r}: give a whole number of the minor unit (fen), at least 1")
        if not isinstance(self.out_refund_no, str) or not REFUND_NUMBER.fullmatch(self.out_refund_no):
            raise ValueError(
                f"out_refund_no {self.out_refund_no!r}: WeChat takes 1 to 64 of digits, letters, _ - | * @"
            )
        if not self.transaction_id:
            raise ValueError(
                "the order is not paid yet as far as this instance knows: read it again, or wait for its payment"
            )
