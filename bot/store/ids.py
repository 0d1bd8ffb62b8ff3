"""Identifiers: sortable ones for rows, short ones for people."""

import os
import secrets
import time
from uuid import UUID

SHORT_ALPHABET = "23456789abcdefghjkmnpqrstvwxyz"
SHORT_LENGTH = 5
"""30^5 ≈ 24 million; the column is unique and a clash is drawn again."""


def new_id() -> UUID:
    """Return a UUID of version 7 (RFC 9562, 5.7): 48 bits of milliseconds, then random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds << 80) | random
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    return UUID(int=(value & ~(0x3 << 62)) | (0x2 << 62))


def new_short(prefix: str) -> str:
    """Return an id that people can say and type, such as `s-7f3kd`."""
    return f"{prefix}-{''.join(secrets.choice(SHORT_ALPHABET) for _ in range(SHORT_LENGTH))}"
