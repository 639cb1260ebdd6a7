"""A pretend WeChat of one developer's machine, whose keys are made once and kept in a directory."""

import json
import os
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from .platform import Platform


def development_platform(directory: str | os.PathLike[str]) -> Platform:
    """The Platform whose keys lie in this directory; made there on first use, for one developer's machine."""
    path = Path(directory) / "platform.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = Platform().stranger()
        pem = made.private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        text = json.dumps({"key": pem.decode(), "api_v3_key": made.api_v3_key, "api_v2_key": made.api_v2_key})
        draft = path.with_suffix(f".{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(text)
        draft.replace(path)
    stored = json.loads(path.read_text())
    key = serialization.load_pem_private_key(stored["key"].encode(), password=None)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError(f"{path} holds no RSA key: remove it, it will be made anew")
    return Platform(private_key=key, api_v3_key=stored["api_v3_key"], api_v2_key=stored["api_v2_key"])


def development_merchant(directory: str | os.PathLike[str], **overrides: Any) -> dict[str, Any]:
    """An entry for MERCHANTS in development settings, with keys of its own kept in this directory."""
    return development_platform(directory).merchant(**overrides)
