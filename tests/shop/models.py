"""The shop of the tests: what it ships, so that "once" can be counted in the database."""

from django.db import models


class Shipment(models.Model):
    out_trade_no = models.CharField(max_length=32)
    receiver = models.CharField(max_length=64)
