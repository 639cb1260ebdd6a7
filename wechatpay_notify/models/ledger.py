"""The ledger: which receiver was told what, and which money the shop's record does not bear out.

Never deleted but with its order, or with the last notification of a v3 event; a row here is why a payment is fulfilled
once and not lost.
"""

from django.db import models, router
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .fields import ExactCharField, JSONTextField
from .orders import Order


class SignalDelivery(models.Model):
    """One receiver that is to be told one thing: outbox and proof in one row."""

    class Status(models.TextChoices):
        PENDING = "pending", _("pending")
        DONE = "done", _("done")
        GAVE_UP = "gave_up", _("gave up")

    signal = ExactCharField(_("signal"), max_length=32)
    subject = ExactCharField(_("subject"), max_length=160)
    receiver = ExactCharField(_("receiver"), max_length=255)
    # No constraint in the database: checking it would wait for a receiver that holds the order's row.
    order = models.ForeignKey(
        Order,
        models.CASCADE,
        null=True,
        blank=True,
        db_constraint=False,
        related_name="deliveries",
        verbose_name=_("order"),
    )
    payload = JSONTextField(_("payload"))
    status = ExactCharField(_("status"), max_length=8, choices=Status, default=Status.PENDING)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), default=timezone.now)
    last_error = models.TextField(_("last error"), default="", blank=True)
    duration_ms = models.PositiveIntegerField(_("milliseconds"), null=True, blank=True)
    done_at = models.DateTimeField(_("done at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("signal delivery")
        verbose_name_plural = _("signal deliveries")
        ordering = ("-id",)
        permissions = (
            ("deliver_signaldelivery", _("Can deliver again what failed")),
            ("force_signaldelivery", _("Can deliver again what was done")),
            ("export_signaldelivery", _("Can export signal deliveries")),
        )
        constraints = (
            models.UniqueConstraint(fields=["subject", "signal", "receiver"], name="wechatpay_delivery_once"),
        )
        indexes = (models.Index(fields=["status", "next_attempt_at"], name="wechatpay_delivery_due"),)

    def __str__(self) -> str:
        return f"{self.signal} → {self.receiver or _('no receiver')}"

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this delivery; for effects outside of the database."""
        return f"{self.signal}:{self.subject}:{self.receiver}"


class DiscrepancyQuerySet(models.QuerySet["Discrepancy"]):
    """The one verb of a person; what heals by itself is facts.py's."""

    def resolve(self, discrepancy: "Discrepancy", *, by: str, reason: str) -> bool:
        """A person has dealt with it. False if it was resolved meanwhile: who was first stays named.

        `by` is a user's name, `reason` what was done. Raises ValueError when one is missing or longer than its column.
        """
        facts = {"resolved_by": by.strip(), "resolution": reason.strip()}
        for name, text in facts.items():
            limit: int = getattr(self.model._meta.get_field(name), "max_length")  # noqa: B009 (typed as any field)
            if not text or len(text) > limit:
                raise ValueError(f"{name} has {len(text)} characters; it needs at least 1 and at most {limit}")
        now = timezone.now()
        rows = self.using(router.db_for_write(self.model)).filter(pk=discrepancy.pk, resolved_at=None)
        if not rows.update(resolved_at=now, **facts):
            return False
        discrepancy.resolved_at = now
        discrepancy.resolved_by, discrepancy.resolution = facts["resolved_by"], facts["resolution"]
        return True


class Discrepancy(models.Model):
    """Money that WeChat reports and the shop's record does not bear out: what a person has to look at."""

    class Reason(models.TextChoices):
        ORDER_CLOSED = "order_closed", _("the order was closed")
        ALREADY_PAID = "already_paid", _("already paid otherwise")
        ALREADY_REFUNDED = "already_refunded", _("already refunded")
        UNKNOWN_ORDER = "unknown_order", _("unknown order")
        AMOUNT_MISMATCH = "amount_mismatch", _("another amount")
        CONFLICT = "conflict", _("transaction of another order")
        REFUND_CONFLICT = "refund_conflict", _("a refund contradicts the record")

    merchant = ExactCharField(_("merchant"), max_length=64)
    out_trade_no = ExactCharField(_("merchant order number"), max_length=32)
    transaction_id = ExactCharField(_("WeChat transaction"), max_length=32)
    reason = ExactCharField(_("reason"), max_length=20, choices=Reason)
    out_refund_no = ExactCharField(_("merchant refund number"), max_length=64, default="", blank=True)
    """Of the newest refund that contradicts the record; "" for a payment."""
    order = models.ForeignKey(
        Order,
        models.SET_NULL,
        null=True,
        blank=True,
        db_constraint=False,
        related_name="discrepancies",
        verbose_name=_("order"),
    )
    amount = models.BigIntegerField(_("amount paid"))
    currency = ExactCharField(_("currency"), max_length=8)
    expected_amount = models.BigIntegerField(_("amount expected"), null=True, blank=True)
    first_seen = models.DateTimeField(_("first seen"), default=timezone.now)
    last_seen = models.DateTimeField(_("last seen"), default=timezone.now)
    times = models.PositiveIntegerField(_("times seen"), default=1)
    resolved_at = models.DateTimeField(_("resolved at"), null=True, blank=True)
    resolved_by = models.CharField(_("resolved by"), max_length=150, default="", blank=True)
    resolution = models.CharField(_("resolution"), max_length=255, default="", blank=True)

    objects = DiscrepancyQuerySet.as_manager()

    class Meta:
        verbose_name = _("discrepancy")
        verbose_name_plural = _("discrepancies")
        ordering = ("-id",)
        permissions = (
            ("resolve_discrepancy", _("Can resolve discrepancies")),
            ("export_discrepancy", _("Can export discrepancies")),
        )
        constraints = (
            models.UniqueConstraint(
                fields=["out_trade_no", "transaction_id", "merchant", "reason"], name="wechatpay_discrepancy_once"
            ),
        )
        indexes = (
            models.Index(fields=["transaction_id"], name="wechatpay_discrepancy_tx"),
            models.Index(fields=["resolved_at", "-id"], name="wechatpay_discrepancy_open"),
        )

    def __str__(self) -> str:
        return f"{self.out_trade_no}: {self.get_reason_display()}"
