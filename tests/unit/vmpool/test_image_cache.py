"""What is kept in an image cache and what is removed."""

import fcntl
import os
import time
from pathlib import Path

import pytest

from vmpool.image import remove_unused


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Three images, two bases, oldest first, and what a crash left."""
    names = ["image-old", "base-k-1", "image-used", "base-k-2", "image-new", "building-x1"]
    for age, name in enumerate(names):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
        os.utime(tmp_path / name, (1000 + age, 1000 + age))
    (tmp_path / "lock").touch()
    return tmp_path


def names(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir()} - {"lock"}


async def test_what_is_in_use_and_the_newest_stay(cache: Path) -> None:
    assert await remove_unused(cache, {"used"}) == ["old"]
    assert names(cache) == {"image-used", "image-new", "base-k-2"}


async def test_what_was_asked_for_lately_stays(cache: Path) -> None:
    lately = time.time() - 1800
    for name in ("image-old", "base-k-1"):
        os.utime(cache / name, (lately, lately))
    for name in ("image-new", "base-k-2"):
        os.utime(cache / name)
    assert await remove_unused(cache, set()) == ["used"]
    assert names(cache) == {"image-old", "image-new", "base-k-1", "base-k-2"}
    assert await remove_unused(cache, set(), idle_hours_min=0.1) == ["old"]


async def test_removing_again_removes_nothing(cache: Path) -> None:
    await remove_unused(cache, set())
    assert await remove_unused(cache, set()) == []
    assert names(cache) == {"image-new", "base-k-2"}


async def test_nothing_is_removed_while_somebody_builds(cache: Path) -> None:
    with (cache / "lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert await remove_unused(cache, set()) == []
    assert len(names(cache)) == 6


async def test_a_cache_that_was_never_used_is_fine(tmp_path: Path) -> None:
    assert await remove_unused(tmp_path / "none", set()) == []
