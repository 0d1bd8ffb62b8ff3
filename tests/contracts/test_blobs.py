"""What every store of blobs does; today there is one, below the data directory."""

import os
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from bot.store.blobs import Blobs, BlobUnreadable, DirectoryBlobs, sweep


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def blobs(directory: Path) -> Blobs:
    return DirectoryBlobs(directory)


async def pieces(*values: bytes) -> AsyncIterator[bytes]:
    for value in values:
        yield value


async def breaking() -> AsyncIterator[bytes]:
    yield b"half"
    raise ConnectionError("gone")


async def read(blobs: Blobs, key: str) -> bytes:
    return b"".join([chunk async for chunk in blobs.get(key)])


async def keys(blobs: Blobs) -> list[str]:
    return sorted([blob.key async for blob in blobs.list()])


async def test_what_was_put_is_read_again_by_another_process(blobs: Blobs, directory: Path) -> None:
    large = os.urandom(3_000_000)
    blob = await blobs.put("a1", pieces(large[:1_000_000], b"", large[1_000_000:]))
    assert blob.size == len(large)
    assert await read(DirectoryBlobs(directory), blob.key) == large
    assert await keys(blobs) == [blob.key]


async def test_an_empty_value_is_a_value(blobs: Blobs) -> None:
    blob = await blobs.put("empty", pieces())
    assert await read(blobs, blob.key) == b""


async def test_two_values_of_one_name_are_two_blobs_and_the_same_one_is_one(blobs: Blobs) -> None:
    first = await blobs.put("n", pieces(b"1"))
    assert (await blobs.put("n", pieces(b"1"))).key == first.key
    second = await blobs.put("n", pieces(b"2"))
    assert await read(blobs, first.key) == b"1"
    assert await read(blobs, second.key) == b"2"


async def test_a_deleted_blob_is_gone_and_deleting_is_idempotent(blobs: Blobs) -> None:
    blob = await blobs.put("n", pieces(b"1"))
    await blobs.delete(blob.key)
    await blobs.delete(blob.key)
    with pytest.raises(BlobUnreadable):
        await read(blobs, blob.key)
    assert await keys(blobs) == []


async def test_a_value_whose_source_breaks_is_not_stored(blobs: Blobs, directory: Path) -> None:
    with pytest.raises(ConnectionError):
        await blobs.put("n", breaking())
    assert await keys(blobs) == []
    assert not any((directory / "unfinished").iterdir())


async def test_not_a_byte_of_an_altered_blob_is_handed_out(blobs: Blobs, directory: Path) -> None:
    for alter in (lambda data: data[:-1], lambda data: b"x" + data[1:], lambda _: b""):
        blob = await blobs.put("n", pieces(b"value" * 100_000))
        path = next(directory.glob(f"*/{blob.key}"))
        path.write_bytes(alter(path.read_bytes()))
        with pytest.raises(BlobUnreadable):
            await anext(blobs.get(blob.key))


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "a", "a-b", f"../x-{'0' * 64}"])
async def test_what_is_no_key_is_unreadable(blobs: Blobs, key: str) -> None:
    with pytest.raises(BlobUnreadable):
        await read(blobs, key)


@pytest.mark.parametrize("name", ["", "a/b", "..", "a-b", "x" * 200])
async def test_what_is_no_name_is_refused(blobs: Blobs, name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        await blobs.put(name, pieces(b"1"))


async def test_sweep_removes_what_nobody_refers_to_and_nothing_young(
    blobs: Blobs, directory: Path
) -> None:
    used, unused, young = [await blobs.put(name, pieces(name.encode())) for name in "abc"]
    (directory / "unfinished" / "killed").write_bytes(b"half")
    (directory / "unfinished" / "writing").write_bytes(b"half")
    old = time.time() - 7200
    for blob in (used, unused):
        os.utime(next(directory.glob(f"*/{blob.key}")), (old, old))
    os.utime(directory / "unfinished" / "killed", (old, old))
    asked: list[str] = []

    async def referred(keys: Sequence[str]) -> set[str]:
        asked.extend(keys)
        return {used.key}

    assert await sweep(blobs, referred, older_than_seconds=3600) == [unused.key]
    assert sorted(asked) == sorted([used.key, unused.key])
    assert await keys(blobs) == sorted([used.key, young.key])
    assert [path.name for path in (directory / "unfinished").iterdir()] == ["writing"]


async def test_a_store_that_has_no_room_says_so_and_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="directory"):
        await DirectoryBlobs(tmp_path / "file").put("n", pieces(b"1"))
