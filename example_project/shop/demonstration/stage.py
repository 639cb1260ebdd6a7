"""Plays a scene against the running shop and reads back what came of it.

Never trusts the answer alone: what was decided and fulfilled is read from the shop's database.
"""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier

from shop.models import ShopOrder
from shop.templatetags.money import yuan
from wechatpay_notify.management.commands.wechatpay_simulate import answer
from wechatpay_notify.models import NotificationLog
from wechatpay_notify.outcomes import OUTCOMES
from wechatpay_notify.testing import Signed

from .scenes import RETRY, Scene

RETRY_PAUSE = 0.25
"""Seconds; WeChat waits 15."""
PATIENCE = 20
"""Seconds after which a pretend WeChat gives up."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table."""

    sent: str
    answered: str
    decided: str
    fulfilled: str
    refunded: str
    wrong: str
    """What must have come instead, "" if this did."""


def play(scene: Scene, url: str) -> Line:
    before = NotificationLog.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    answers = _deliver(scene, url)
    outcomes = Counter(NotificationLog.objects.filter(pk__gt=before).order_by("pk").values_list("outcome", flat=True))
    parcels, refunded = _in_the_shop(scene)
    allowed = {scene.decided}
    if scene.copies > 1:
        # The others find it done, or are asked to come again.
        allowed |= {"duplicate", *(code for code, outcome in OUTCOMES.items() if outcome.word == "retry")}
    right = (
        set(answers) == {scene.answered}
        and len(answers) == scene.copies
        and scene.decided in outcomes
        and set(outcomes) <= allowed
        and set(parcels) == {scene.fulfilled}
        and refunded == scene.refunded
    )
    wrong = f"must be: {scene.answered}, {scene.decided}, {scene.fulfilled} each, {yuan(scene.refunded)}"
    return Line(
        scene.sent,
        counted(Counter(answers)),
        counted(outcomes),
        str(sum(parcels)),
        yuan(refunded) if refunded else "",
        "" if right else wrong,
    )


def _in_the_shop(scene: Scene) -> tuple[list[int], int]:
    """Parcels packed for each order, and what is refunded of them all."""
    orders = [scene.order, *scene.others]
    rows = ShopOrder.objects.filter(pk__in=[order.pk for order in orders])
    return [order.shipments.count() for order in orders], sum(rows.values_list("refunded_fen", flat=True))


def _deliver(scene: Scene, url: str) -> list[str]:
    if scene.copies == 1:
        return [send(scene.signed, url)]
    together = Barrier(scene.copies)

    def copy(_: int) -> str:
        together.wait()
        give_up = time.monotonic() + PATIENCE
        while (answered := send(scene.signed, url)) == RETRY and time.monotonic() < give_up:
            time.sleep(RETRY_PAUSE)
        return answered

    with ThreadPoolExecutor(scene.copies) as pool:
        return list(pool.map(copy, range(scene.copies)))


def send(signed: Signed, url: str) -> str:
    try:
        status, body = signed.send(url, timeout=PATIENCE)
    except OSError as error:
        return f"no answer: {error}"
    return f"{status} {answer(body)}"


def counted(found: Counter[str]) -> str:
    return ", ".join(f"{times} × {what}" if times > 1 else what for what, times in found.most_common()[::-1])
