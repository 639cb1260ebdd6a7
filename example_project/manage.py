#!/usr/bin/env python
"""The example shop's command line; `demo` gets a temporary data directory, so that it never touches your own."""

import os
import sys
import tempfile

from django.core.management import execute_from_command_line


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "shop_site.settings"
    if sys.argv[1:2] != ["demo"]:
        execute_from_command_line(sys.argv)
        return
    with tempfile.TemporaryDirectory(prefix="wechatpay-demo-", ignore_cleanup_errors=True) as directory:
        os.environ["EXAMPLE_DATA_DIR"] = directory
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
