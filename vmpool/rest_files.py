"""The files of a rest: sealed manifest, checksums, and whether the disk has kept them."""

import errno
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANIFEST_BYTES_MAX = 64 * 1024
SMALL_BYTES_MAX = 16 * 1024 * 1024
"""Of a snapshot's state: some 32 KiB for each virtual CPU."""
EDGE_BYTES = 64 * 1024
CHUNK_BYTES = 256 * 1024
_ZEROS = bytes(CHUNK_BYTES)
_NOT_ASKED = frozenset({errno.EINVAL, errno.EROFS})
"""Errors of a file system that has no fsync, or nothing to write: nothing is lost by them."""


class Unkept(OSError):
    """An fsync failed: what was written before may be lost, in memory too."""


@dataclass(frozen=True, kw_only=True)
class Large:
    """A file known by its length."""

    path: str
    length_bytes: int
    edges: str | None
    """SHA-256 of the first and last EDGE_BYTES; None for files whose content is not looked at."""


@dataclass(frozen=True, kw_only=True)
class Small:
    """A file known by its checksum."""

    path: str
    sha256: str


def sealed(manifest: dict[str, Any]) -> str:
    """A manifest as text that says whether it was altered."""
    body = json.dumps(manifest, sort_keys=True)
    seal = hashlib.sha256(body.encode()).hexdigest()
    return json.dumps({"body": body, "sha256": seal})


def read_manifest(path: Path) -> dict[str, Any]:
    """Read what `sealed` wrote. :raises ValueError, KeyError, TypeError: it is none"""
    if length_of(path) > MANIFEST_BYTES_MAX:
        raise ValueError("manifest too long")
    found = json.loads(path.read_text())
    body = found["body"]
    if hashlib.sha256(body.encode()).hexdigest() != found["sha256"]:
        raise ValueError("manifest altered")
    manifest: dict[str, Any] = json.loads(body)
    return manifest


def length_of(path: Path) -> int:
    """Apparent length in bytes."""
    return path.stat().st_size


def edges_of(path: Path) -> str:
    """SHA-256 of the first and last EDGE_BYTES."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(EDGE_BYTES))
        file.seek(max(0, length_of(path) - EDGE_BYTES))
        digest.update(file.read(EDGE_BYTES))
    return digest.hexdigest()


def sha256_of_small(path: Path) -> str:
    """:raises ValueError: it is longer than SMALL_BYTES_MAX"""
    if length_of(path) > SMALL_BYTES_MAX:
        raise ValueError(f"{path.name} is not small")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sha256_of(
    path: Path,
    stopped: Callable[[], bool],
    *,
    zeros: Callable[[Path, int, int], None] | None = None,
) -> str | None:
    """Digest a file; None: it was stopped. `zeros` is told where a chunk of zeros lies."""
    digest = hashlib.sha256()
    place = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            if stopped():
                return None
            digest.update(chunk)
            if zeros is not None and chunk == _ZEROS[: len(chunk)]:
                zeros(path, place, len(chunk))
            place += len(chunk)
    return digest.hexdigest()


def write_by_rename(path: Path, text: str) -> None:
    """Write a file that is whole or not there."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    os.rename(fresh, path)


def fsync(path: Path) -> None:
    """Wait until a file or directory is on the disk.

    :raises Unkept: something that was written there is lost
    """
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno in _NOT_ASKED:
            raise
        raise Unkept(error.errno, error.strerror, str(path)) from error
    finally:
        os.close(fd)
