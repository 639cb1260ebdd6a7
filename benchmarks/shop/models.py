"""The shop of the benchmark: one order table for the views written by hand, one row for each thing shipped."""

from django.db import models


class ShopOrder(models.Model):
    number = models.CharField(max_length=32, unique=True)
    amount = models.BigIntegerField()
    status = models.CharField(max_length=8, default="pending")
    transaction_id = models.CharField(max_length=32, default="")
    paid_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.number


class Payment(models.Model):
    """What the callback written by hand keeps of a notification, and knows a duplicate by."""

    transaction_id = models.CharField(max_length=32, unique=True)
    number = models.CharField(max_length=32)
    amount = models.BigIntegerField()
    resource = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.transaction_id


class Shipment(models.Model):
    """One row for each order that was fulfilled."""

    number = models.CharField(max_length=32)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.number
