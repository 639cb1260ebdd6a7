"""A directory of platform keys: what lies there now, by the serial that WeChat names.

Never parses again what has not changed, and never lets a file that cannot be used displace a good key.
"""

import logging
import math
import os
import stat
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from wechatpay_notify.protocol import keys
from wechatpay_notify.protocol.errors import Misconfigured
from wechatpay_notify.protocol.types import PlatformKey

MAX_PEM_BYTES = 64 * 1024
"""A platform certificate has 1.5 KB."""

logger = logging.getLogger("wechatpay_notify")

Stamp = tuple[int, ...]
"""What changes whenever a file does. Size and mtime would not do: `chmod` and `cp -p` keep them."""


@dataclass(frozen=True, slots=True)
class _File:
    stamp: Stamp
    key: PlatformKey | None = None
    """The last good one that was read from it."""
    problem: str = ""
    """Why what lies there now cannot be used."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """The directory as it was seen last; replaced as a whole, so that no thread sees half of a change."""

    files: dict[str, _File]
    stamps: dict[str, Stamp]
    keys: dict[str, PlatformKey]
    trouble: str


class KeyDirectory(Mapping[str, PlatformKey]):
    """Platform keys by the text of the Wechatpay-Serial header, out of the PEM files of one directory.

    Each look-up costs one listing of the directory, found or not (measured: 0.6 of a verification); only a changed file
    is read and parsed. Walking through the keys costs none: it shows what was seen last.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self.trouble = ""
        """What is wrong with the directory as a whole; "" when its keys are what lies there."""
        self._seen = _Seen({}, {}, {}, "holds no key that can be used")
        self._lock = threading.Lock()

    def __getitem__(self, serial: str) -> PlatformKey:
        return self._look()[serial]

    def __iter__(self) -> Iterator[str]:
        return iter(self._seen.keys or self._look())

    def __len__(self) -> int:
        return len(self._seen.keys or self._look())

    def __repr__(self) -> str:  # without the path: it may be a key, put here by mistake
        return f"KeyDirectory({sorted(self._seen.keys)})"

    def unusable(self) -> dict[str, str]:
        """The files that cannot be used now, and why."""
        self._look()
        return {name: file.problem for name, file in sorted(self._seen.files.items()) if file.problem}

    def _look(self) -> dict[str, PlatformKey]:
        try:
            if self._stamps() != self._seen.stamps:
                with self._lock:
                    self._seen = self._read()
            trouble = self._seen.trouble
        except (OSError, ValueError) as error:
            trouble = f"cannot be read ({getattr(error, 'strerror', None) or 'no directory name'})"
        if trouble != self.trouble:
            self._note(trouble)
        return self._seen.keys

    def _note(self, trouble: str) -> None:
        with self._lock:
            news, self.trouble = trouble != self.trouble, trouble
        if news and trouble and self._seen.keys:
            logger.warning("PLATFORM_KEYS: %a %s; the keys read before stay", str(self.path), trouble)

    def _stamps(self) -> dict[str, Stamp]:
        with os.scandir(self.path) as entries:
            found = {entry.name: _stamp(entry) for entry in entries}
        return {name: stamp for name, stamp in found.items() if not (stamp and stat.S_ISDIR(stamp[0]))}

    def _read(self) -> _Seen:
        """Look again, one thread at a time, and take what changed; with nothing left of it, the keys stay."""
        before, now = self._seen, time.time()
        files = {name: self._file(name, stamp, before.files.get(name), now) for name, stamp in self._stamps().items()}
        # Of two files with one serial the one that lasts longer counts, so that an expired copy displaces nothing.
        parsed = sorted((file.key for file in files.values() if file.key), key=_end)
        return _Seen(
            files,
            {name: file.stamp for name, file in files.items()},
            {key.serial: key for key in parsed} or before.keys,
            "" if parsed else "holds no key that can be used",
        )

    def _file(self, name: str, stamp: Stamp, before: _File | None, now: float) -> _File:
        if before is not None and before.stamp == stamp:
            return before
        old = None if before is None else before.key
        try:
            key = keys.key_of_file(name.removesuffix(".pem"), self._pem(name, stamp))
            if old is not None and _end(key) < now <= _end(old):
                raise Misconfigured("its certificate has expired")
        except Misconfigured as error:
            if old is not None:
                logger.warning("PLATFORM_KEYS: %a cannot be used (%s); the key read from it before stays", name, error)
            return _File(stamp, old, error.detail)
        except OSError as error:  # no file handle left, a disk that fails: without a stamp it is tried again
            return _File((), old, f"it cannot be read ({error.strerror})")
        return _File(stamp, key)

    def _pem(self, name: str, stamp: Stamp) -> bytes:
        if name.startswith(".") or not name.endswith(".pem"):
            raise Misconfigured("it is hidden or its name does not end in .pem")
        if not stamp or not stat.S_ISREG(stamp[0]):  # opening a pipe would wait for its writer
            raise Misconfigured("it is no regular file, or a link to nowhere")
        try:
            with Path(self.path, name).open("rb") as file:
                pem = file.read(MAX_PEM_BYTES + 1)
        except PermissionError as error:
            raise Misconfigured(f"it cannot be read ({error.strerror})") from error
        if len(pem) > MAX_PEM_BYTES:
            raise Misconfigured(f"it has more than {MAX_PEM_BYTES} bytes")
        return pem


def _stamp(entry: os.DirEntry[str]) -> Stamp:
    try:
        found = entry.stat()
    except OSError:
        return ()
    return found.st_mode, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _end(key: PlatformKey) -> float:
    return math.inf if key.not_after is None else key.not_after
