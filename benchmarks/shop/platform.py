"""The pretend WeChat Pay whose keys the site and the load generator share, through a directory of one run."""

import dataclasses
import os

from wechatpay_notify.testing import development_platform

PLATFORM = dataclasses.replace(
    development_platform(os.environ["BENCHMARK_KEYS"]), serial="PUB_KEY_ID_0000000000000000000000BENCHMARK"
)
