"""Celery as the worker: DELIVERY = "wechatpay_notify.contrib.celery.wake".

Never carries anything in a message, and never waits long for a broker that is not there.
"""

from celery import shared_task
from kombu import pools

from wechatpay_notify.delivery import deliver_due

SECONDS = 0.5
"""How long a notification waits for a broker that says nothing; Celery itself waits 4 seconds, or for ever."""
AT_ONCE = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
"""Once more, for a connection that broke while idle, or the next of several brokers. `retry=False` alone makes Celery
try for 6 seconds to connect: WeChat waits five."""
IMPATIENT = AT_ONCE | dict.fromkeys(
    ("socket_connect_timeout", "socket_timeout", "read_timeout", "write_timeout"), SECONDS
)
"""Over the project's own transport options, made for its workers. Redis reads the first two, AMQP the last."""


@shared_task(name="wechatpay_notify.deliver", ignore_result=True)  # type: ignore[untyped-decorator]
def deliver() -> None:
    """Run what is due. Put it into `beat_schedule` too, once a minute: it finds what no message announced."""
    deliver_due()


def wake() -> None:
    """Ask a worker to look. Without `expires`: a late look costs one query, and may be the only one that comes."""
    broker = deliver.app.connection_for_write(connect_timeout=SECONDS, transport_options=IMPATIENT)
    with pools.producers[broker].acquire(block=True, timeout=SECONDS) as producer:
        deliver.apply_async(producer=producer, retry=True, retry_policy=AT_ONCE)
