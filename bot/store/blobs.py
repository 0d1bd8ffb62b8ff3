"""Blobs: large values beside the database, each written once and read whole or not at all.

A row that refers to a blob holds its key. The key ends in the SHA-256 of the value, so what was
altered on the way is never handed out. What no row refers to is found by `sweep`.
"""

import asyncio
import hashlib
import os
import re
import time
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol
from uuid import uuid4

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,99}")
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,99}-[0-9a-f]{64}")
CHUNK_BYTES = 256 * 1024
SWEEP_BATCH = 500


class BlobUnreadable(Exception):
    """There is no such blob, or it is not what was put."""


@dataclass(frozen=True, kw_only=True)
class Blob:
    """One stored value."""

    key: str
    size: int
    """In bytes."""
    stored_at: float
    """Unix seconds."""


class Blobs(Protocol):
    """Where blobs are kept."""

    async def put(self, name: str, data: AsyncIterable[bytes]) -> Blob:
        """Store a value; it is durable when this returns, and not there if it raises.

        :param name: letters, digits and underscores; the key starts with it
        :raises OSError: no room, or no way to the store
        """
        ...

    def get(self, key: str) -> AsyncGenerator[bytes, None]:
        """The value, once it was found to be what was put.

        :raises BlobUnreadable: before the first byte
        """
        ...

    async def delete(self, key: str) -> None:
        """Remove a blob. Idempotent."""
        ...

    def list(self) -> AsyncGenerator[Blob, None]:
        """Every blob that is whole, in no order."""
        ...

    async def drop_unfinished(self, *, older_than_seconds: float) -> int:
        """Remove what puts left that never ended; returns how many."""
        ...


class DirectoryBlobs:
    """Blobs as files: `<last two digits of the key>/<key>`, and `unfinished/` for puts."""

    def __init__(self, directory: Path) -> None:
        """`directory` is made when something is first put."""
        self._directory = directory
        self._unfinished = directory / "unfinished"

    async def put(self, name: str, data: AsyncIterable[bytes]) -> Blob:
        """See `Blobs.put`."""
        if NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} is no name of a blob")
        await asyncio.to_thread(self._unfinished.mkdir, parents=True, exist_ok=True, mode=0o700)
        temporary = self._unfinished / uuid4().hex
        digest = hashlib.sha256()
        try:
            with await asyncio.to_thread(temporary.open, "xb") as file:
                async for chunk in data:
                    digest.update(chunk)
                    await asyncio.to_thread(file.write, chunk)
                await asyncio.to_thread(_sync, file)
            key = f"{name}-{digest.hexdigest()}"
            return await asyncio.to_thread(self._place, temporary, key)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    async def get(self, key: str) -> AsyncGenerator[bytes, None]:
        """See `Blobs.get`."""
        try:
            file = await asyncio.to_thread(self._path(key).open, "rb")
        except OSError as error:
            raise BlobUnreadable(f"blob {key} can't be read: {error.strerror}") from None
        with file:
            digest = (await asyncio.to_thread(hashlib.file_digest, file, "sha256")).hexdigest()
            if digest != key.rpartition("-")[2]:
                raise BlobUnreadable(f"blob {key} was altered")
            file.seek(0)
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield chunk

    def holds(self, key: str) -> bool:
        """Whether there is a blob of that key; blocks."""
        return self._path(key).is_file()

    async def delete(self, key: str) -> None:
        """See `Blobs.delete`."""
        await asyncio.to_thread(self._path(key).unlink, missing_ok=True)

    async def list(self) -> AsyncGenerator[Blob, None]:
        """See `Blobs.list`."""
        for blob in await asyncio.to_thread(lambda: [*self._whole()]):
            yield blob

    async def drop_unfinished(self, *, older_than_seconds: float) -> int:
        """See `Blobs.drop_unfinished`."""
        return await asyncio.to_thread(self._drop, time.time() - older_than_seconds)

    # -- in a thread --------------------------------------------------------------------------

    def _path(self, key: str) -> Path:
        if KEY.fullmatch(key) is None:
            raise BlobUnreadable(f"{key!r} is no key of a blob")
        return self._directory / key[-2:] / key

    def _place(self, temporary: Path, key: str) -> Blob:
        path = self._path(key)
        path.parent.mkdir(exist_ok=True)
        temporary.rename(path)
        for directory in (path.parent, self._directory):
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return _blob(path)

    def _whole(self) -> Iterator[Blob]:
        for path in self._directory.glob("??/*"):
            if KEY.fullmatch(path.name):
                with suppress(FileNotFoundError):
                    yield _blob(path)

    def _drop(self, before: float) -> int:
        dropped = 0
        for path in self._unfinished.glob("*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()
                    dropped += 1
        return dropped


def _blob(path: Path) -> Blob:
    found = path.stat()
    return Blob(key=path.name, size=found.st_size, stored_at=found.st_mtime)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


async def sweep(
    blobs: Blobs,
    referred: Callable[[Sequence[str]], Awaitable[set[str]]],
    *,
    older_than_seconds: float,
) -> list[str]:
    """Remove blobs that nothing refers to; returns their keys.

    :param referred: which of these keys a row refers to
    :param older_than_seconds: longer than it takes from a put to the commit of its row
    """
    await blobs.drop_unfinished(older_than_seconds=older_than_seconds)
    before = time.time() - older_than_seconds
    old = [blob.key async for blob in blobs.list() if blob.stored_at < before]
    removed: list[str] = []
    for start in range(0, len(old), SWEEP_BATCH):
        batch = old[start : start + SWEEP_BATCH]
        for key in sorted(set(batch) - await referred(batch)):
            await blobs.delete(key)
            removed.append(key)
    return removed
