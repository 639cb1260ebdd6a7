"""What the shop does when an order is paid: the same single row as the views written by hand."""

from typing import Any

from .models import Shipment


def fulfil(*, order: Any, **_: Any) -> None:
    Shipment.objects.create(number=order.out_trade_no)
