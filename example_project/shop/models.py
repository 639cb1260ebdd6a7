"""The shop's own record. It knows nothing of WeChat: the receivers tie the two together."""

import secrets

from django.db import models
from django.urls import reverse
from django.utils import timezone

MAX_QUANTITY = 99


def order_number() -> str:
    """Good as WeChat's out_trade_no too, and not to be guessed: whoever knows it sees the order's page."""
    return f"S{timezone.localdate():%Y%m%d}{secrets.token_hex(6)}"


class Product(models.Model):
    name = models.CharField(max_length=100)
    price_fen = models.PositiveIntegerField()
    stock = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return self.name


class ShopOrder(models.Model):
    class Status(models.TextChoices):
        NEW = "new", "waiting for payment"
        PAID = "paid", "paid"
        CANCELLED = "cancelled", "cancelled"
        REFUNDED = "refunded", "refunded"

    number = models.CharField(max_length=32, unique=True, default=order_number)
    product = models.ForeignKey(Product, models.PROTECT)
    quantity = models.PositiveIntegerField(default=1)
    total_fen = models.PositiveIntegerField()
    status = models.CharField(max_length=10, choices=Status, default=Status.NEW)
    created_at = models.DateTimeField(auto_now_add=True)
    paid_at = models.DateTimeField(null=True, blank=True)
    refunded_fen = models.PositiveIntegerField(default=0)
    shipped = models.BooleanField(default=False)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return self.number

    def get_absolute_url(self) -> str:
        return reverse("shop:order", args=[self.number])


class Shipment(models.Model):
    """A parcel to pack. No constraint forbids a second one for an order: that the receiver runs once is what does."""

    order = models.ForeignKey(ShopOrder, models.PROTECT, related_name="shipments")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"parcel for {self.order}"


class StaffNote(models.Model):
    """Money that a person has to look at."""

    text = models.CharField(max_length=255)
    created_at = models.DateTimeField(auto_now_add=True)
    done = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.text
