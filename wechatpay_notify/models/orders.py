"""Order: one merchant order number (商户订单号) at WeChat, what it must be paid, and whether it was.

Facts move by compare-and-set alone; `save()` of an existing row never writes one.
"""

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import IntegrityError, models, router, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from wechatpay_notify.conf import DEFAULT_ALIAS, conf
from wechatpay_notify.protocol.results import ORDER_NUMBER
from wechatpay_notify.protocol.types import PaymentResult

from .fields import ExactCharField


class OrderMismatch(ValueError):
    """`expect` was called for a number that is already recorded with another amount or currency."""


def default_mchid() -> str:
    """MCHID of the merchant `default`, "" if there is none."""
    config = conf.merchants.get(DEFAULT_ALIAS)
    return config.merchant.mchid if config else ""


class OrderQuerySet(models.QuerySet["Order"]):
    """The verbs that move an order; each says whether it moved."""

    def expect(
        self,
        *,
        out_trade_no: str,
        amount: int,
        currency: str = "CNY",
        mchid: str | None = None,
        sub_mchid: str = "",
        appid: str = "",
        sub_appid: str = "",
        combine_out_trade_no: str = "",
        reference: str = "",
        description: str = "",
    ) -> "Order":
        """Record what the shop expects to be paid, before the customer pays. Idempotent.

        `amount` in the minor unit (fen); `mchid` is the default merchant's if not given. Raises OrderMismatch when the
        number is recorded with another amount or currency, ValueError for values WeChat or a column would refuse.
        """
        using = router.db_for_write(self.model)
        order = self.model(
            out_trade_no=out_trade_no,
            amount=amount,
            currency=currency,
            mchid=default_mchid() if mchid is None else mchid,
            sub_mchid=sub_mchid,
            appid=appid,
            sub_appid=sub_appid,
            combine_out_trade_no=combine_out_trade_no,
            reference=reference,
            description=description,
        )
        try:
            # Insert first: locking a missing row and then inserting deadlocks on MariaDB REPEATABLE READ.
            with transaction.atomic(using=using):
                order.save(using=using, force_insert=True)
        except IntegrityError:
            order = self._recorded(order, using)
        if (order.amount, order.currency) != (amount, currency):
            raise OrderMismatch(
                f"order {out_trade_no} is recorded with {order.amount} {order.currency}, not {amount} {currency}; "
                "a new price needs a new out_trade_no"
            )
        return order

    def _recorded(self, order: "Order", using: str) -> "Order":
        rows = self.using(using)
        if transaction.get_connection(using).in_atomic_block:
            # A locking read: the snapshot of REPEATABLE READ may not show the row that the insert collided with.
            rows = rows.select_for_update()
        return rows.get(mchid=order.mchid, sub_mchid=order.sub_mchid, out_trade_no=order.out_trade_no)

    def close(self, order: "Order") -> bool:
        """`pending → closed`: the shop no longer wants this order paid. False if it was not as seen: look again."""
        return self._move(order, Order.Status.PENDING, {"status": Order.Status.CLOSED, "closed_at": timezone.now()})

    def settle(
        self,
        order: "Order",
        result: PaymentResult,
        *,
        confirmed_by: str = "notification",
        refunded: int | None = None,
    ) -> bool:
        """`order.status → paid` with the facts of this payment, if the order is as seen; else false: look again.

        A pending order takes its `settled_reference` in the same statement; when another order has it already, this one
        becomes paid without it. `refunded` is what was refunded of this transaction before (minor unit); asked for if
        not given. Raises IntegrityError when the transaction belongs to another order.
        """
        if order.status == Order.Status.PAID:
            return False
        if refunded is None:
            refunded = self._refunded(order, result.transaction_id)
        facts = order.settlement(result, confirmed_by, refunded)
        # As seen by the time too: refunds of two transactions may have come to the same sum (count_refunds).
        reference = facts["settled_reference"]
        try:
            with transaction.atomic(using=router.db_for_write(self.model), savepoint=reference is not None):
                return self._move(order, order.status, facts, updated_at=order.updated_at)
        except IntegrityError:
            if reference is None or not self._taken(reference):
                raise
        return self._move(order, order.status, facts | {"settled_reference": None}, updated_at=order.updated_at)

    def count_refunds(self, order: "Order", refunded_amount: int) -> bool:
        """Write what is refunded of this order by now, at most its amount; false if the order is not as seen."""
        if not 0 <= refunded_amount <= order.amount:
            return False
        # By the time too: before the payment is reported, refunds of two transactions may come to the same sum.
        return self._move(order, order.status, {"refunded_amount": refunded_amount}, updated_at=order.updated_at)

    def _refunded(self, order: "Order", transaction_id: str) -> int:
        rows = order.refunds.using(router.db_for_write(self.model)).filter(transaction_id=transaction_id)
        return int(rows.exclude(status="CLOSED").aggregate(models.Sum("amount", default=0))["amount__sum"])

    def _taken(self, reference: str) -> bool:
        return self.using(router.db_for_write(self.model)).filter(settled_reference=reference).exists()

    def _move(self, order: "Order", seen: str, facts: dict[str, Any], **guards: Any) -> bool:
        rows = self.using(router.db_for_write(self.model)).filter(
            pk=order.pk, status=seen, amount=order.amount, currency=order.currency, **guards
        )
        facts = facts | {"updated_at": timezone.now()}
        if not rows.update(**facts):
            return False
        for name, value in facts.items():
            setattr(order, name, value)
        return True


class Order(models.Model):
    """A shop order paid by JSAPI first and H5 later is two of these, with one `reference`."""

    class Status(models.TextChoices):
        PENDING = "pending", pgettext_lazy("order", "pending")
        PAID = "paid", _("paid")
        CLOSED = "closed", _("closed")

    class ConfirmedBy(models.TextChoices):
        NOTIFICATION = "notification", _("notification")
        QUERY = "query", _("query")
        BILL = "bill", _("bill")

    FACTS = frozenset(
        {
            "status",
            "settled_reference",
            "transaction_id",
            "payer_total",
            "refunded_amount",
            "trade_type",
            "bank_type",
            "openid",
            "sub_openid",
            "attach",
            "paid_at",
            "closed_at",
            "confirmed_by",
        }
    )
    """Columns that only the verbs write."""

    public_id = models.UUIDField(_("public id"), default=uuid.uuid4, editable=False)
    mchid = ExactCharField(_("merchant number"), max_length=32, default=default_mchid)
    sub_mchid = ExactCharField(_("sub-merchant number"), max_length=32, default="", blank=True)
    appid = ExactCharField(_("appid"), max_length=32, default="", blank=True)
    sub_appid = ExactCharField(_("sub appid"), max_length=32, default="", blank=True)
    out_trade_no = ExactCharField(_("merchant order number"), max_length=32)
    combine_out_trade_no = ExactCharField(_("combined order number"), max_length=32, default="", blank=True)
    reference = ExactCharField(_("shop's own reference"), max_length=64, default="", blank=True)
    amount = models.BigIntegerField(_("amount in the minor unit"))
    currency = ExactCharField(_("currency"), max_length=8, default="CNY")
    description = models.CharField(_("description"), max_length=255, default="", blank=True)
    status = ExactCharField(_("status"), max_length=8, choices=Status, default=Status.PENDING)
    settled_reference = ExactCharField(_("settled reference"), max_length=132, null=True, editable=False)
    transaction_id = ExactCharField(_("WeChat transaction"), max_length=32, null=True, blank=True)
    payer_total = models.BigIntegerField(_("paid by the payer"), null=True, blank=True)
    refunded_amount = models.BigIntegerField(_("refunded"), default=0)
    trade_type = models.CharField(_("trade type"), max_length=16, default="", blank=True)
    bank_type = models.CharField(_("bank"), max_length=32, default="", blank=True)
    openid = models.CharField(_("openid"), max_length=128, default="", blank=True)
    sub_openid = models.CharField(_("sub openid"), max_length=128, default="", blank=True)
    attach = models.CharField(_("attach"), max_length=128, default="", blank=True)
    paid_at = models.DateTimeField(_("paid at"), null=True, blank=True)
    closed_at = models.DateTimeField(_("closed at"), null=True, blank=True)
    confirmed_by = models.CharField(_("confirmed by"), max_length=12, choices=ConfirmedBy, default="", blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    objects = OrderQuerySet.as_manager()

    class Meta:
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        ordering = ("-id",)
        permissions = (
            ("view_openid", _("Can see openids whole")),
            ("export_order", _("Can export orders")),
        )
        # In Meta, not unique=True: that would make a second (LIKE) index on PostgreSQL.
        constraints = (
            models.UniqueConstraint(fields=["public_id"], name="wechatpay_order_public_id"),
            models.UniqueConstraint(fields=["out_trade_no", "mchid", "sub_mchid"], name="wechatpay_order_number"),
            models.UniqueConstraint(fields=["transaction_id"], name="wechatpay_order_transaction"),
            models.UniqueConstraint(fields=["settled_reference"], name="wechatpay_order_settled"),
        )
        indexes = (
            models.Index(fields=["reference"], name="wechatpay_order_reference"),
            models.Index(fields=["openid"], name="wechatpay_order_openid"),
            models.Index(fields=["sub_openid"], name="wechatpay_order_sub_openid"),
            models.Index(fields=["combine_out_trade_no"], name="wechatpay_order_combined"),
            models.Index(fields=["status", "-id"], name="wechatpay_order_status"),
            models.Index(fields=["confirmed_by", "-id"], name="wechatpay_order_by"),
        )

    def __str__(self) -> str:
        return str(self.out_trade_no)

    def save(
        self,
        *,
        force_insert: bool | tuple[models.base.ModelBase, ...] = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Iterable[str] | None = None,
    ) -> None:
        """Insert a new order, or write the editable columns of an existing one; facts are left as they are.

        A stale instance saved by the shop must never put a paid order back to pending.
        Raises ValueError for a new order that WeChat would refuse.
        """
        if self._state.adding:
            self._check_new()
            super().save(force_insert=True, using=using)
            return
        named = update_fields if update_fields is not None else (field.name for field in self._meta.concrete_fields)
        editable = set(named) - self.FACTS - {self._meta.pk.name}
        super().save(force_update=force_update, using=using, update_fields=editable)

    def settlement(self, result: PaymentResult, confirmed_by: str, refunded: int) -> dict[str, Any]:
        """The facts that settling this order with this payment writes."""
        # What was wholly refunded already fulfils nothing, nor does a closed order's late payment: neither must keep
        # the payment that does from being confirmed.
        fulfils = self.status == self.Status.PENDING and refunded < self.amount
        return {
            "status": self.Status.PAID,
            "settled_reference": self._reference_to_settle() if fulfils else None,
            "transaction_id": result.transaction_id,
            "payer_total": result.payer_total,
            "refunded_amount": refunded,
            "trade_type": result.trade_type,
            "bank_type": result.bank_type,
            "openid": result.openid,
            "sub_openid": result.sub_openid,
            "attach": result.attach,
            "paid_at": stored(result.success_time) or timezone.now(),
            "confirmed_by": confirmed_by,
        }

    def _reference_to_settle(self) -> str | None:
        return f"{self.mchid}/{self.sub_mchid}/{self.reference}" if self.reference else None

    def _check_new(self) -> None:
        if not isinstance(self.out_trade_no, str) or not ORDER_NUMBER.fullmatch(self.out_trade_no):
            raise ValueError(f"out_trade_no {self.out_trade_no!r}: WeChat takes 1 to 32 of digits, letters, _ - | * @")
        if type(self.amount) is not int or self.amount < 1:
            raise ValueError(f"amount {self.amount!r}: give a whole number of the minor unit (fen), at least 1")
        if not self.mchid:
            raise ValueError("mchid is empty and there is no merchant 'default' to take it from: give mchid=")
        for field in self._meta.concrete_fields:  # SQLite does not check lengths
            value, limit = getattr(self, field.attname), getattr(field, "max_length", None)
            if limit and isinstance(value, str) and len(value) > limit:
                raise ValueError(f"{field.attname} has {len(value)} characters, allowed are {limit}")
        merchant = conf.merchant_by_number(self.mchid)
        if merchant and merchant.sub_mchids is not None and not self.sub_mchid:
            raise ValueError(f"merchant {self.mchid} is a service provider (SUB_MCHIDS): give sub_mchid=")


def stored(moment: datetime | None) -> datetime | None:
    """As the database takes it: without a zone in a project with USE_TZ=False."""
    return timezone.make_naive(moment) if moment and not settings.USE_TZ else moment
