"""Sealed: content under AES-256-GCM and the APIv3 key, as v3 sends every resource and v2 a few events.

Never takes opening for a proof of the sender: that is the signature's, which is checked before.
"""

import base64
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .errors import AlgorithmRefused, Malformed, Undecryptable

ALGORITHM = "AEAD_AES_256_GCM"
NONCE_BYTES = range(8, 129)
"""What AES-GCM accepts as a nonce; WeChat sends 12 (protocol, 2.5)."""

_cipher = lru_cache(maxsize=16)(AESGCM)


def decrypt(resource: Mapping[str, Any], keys: Iterable[bytes]) -> bytes:
    """Decrypt a `resource` object (protocol, 2.6) with the first APIv3 key that fits.

    Raises AlgorithmRefused, Malformed, or Undecryptable when no key fits.
    """
    algorithm = resource.get("algorithm")
    if algorithm != ALGORITHM:
        raise AlgorithmRefused(f"the resource's algorithm is {str(algorithm)[:64]!r}", proven=True)
    nonce, ciphertext = resource.get("nonce"), resource.get("ciphertext")
    associated_data = resource.get("associated_data", "")
    if associated_data is None:
        associated_data = ""
    if not (isinstance(nonce, str) and isinstance(ciphertext, str) and isinstance(associated_data, str)):
        raise Malformed("the resource's nonce, ciphertext or associated_data is missing or no text", proven=True)
    try:
        nonce_bytes, aad_bytes = nonce.encode(), associated_data.encode()
        sealed = base64.b64decode(ciphertext, validate=True)
    except ValueError as error:  # also lone surrogates
        raise Malformed("the resource's ciphertext is no base64, or it has invalid text", proven=True) from error
    if len(nonce_bytes) not in NONCE_BYTES:
        raise Malformed(f"the resource's nonce has {len(nonce_bytes)} bytes", proven=True)
    for key in keys:
        try:
            return _cipher(key).decrypt(nonce_bytes, sealed, aad_bytes)
        except InvalidTag:
            continue
    raise Undecryptable("AES-256-GCM: no configured APIv3 key opens the resource", proven=True)
