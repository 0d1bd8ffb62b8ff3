"""Builds of the guest image: how they meet, break, are renewed and used again."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.caches import images_dir
from tests.fakes.npm_registry import npm_registry
from tests.support.tiny_layer import tiny_layer
from vmpool.driver import Image
from vmpool.errors import HostFull, HostUnfit
from vmpool.image import DAY_SECONDS, ensure_image
from vmpool.image_recipe.recipe import recipe_of_host

pytestmark = [
    pytest.mark.vm,
    pytest.mark.timeout(900),  # on a host that does other things too
]

CHECKOUT = Path(__file__).parents[3]
STEP_SECONDS_MAX = 300
NOBODY_THERE = (
    "Types: deb\nURIs: http://ona-test.invalid/debian\nSuites: bookworm\nComponents: main\n"
)


@pytest.fixture
def cache(guest_image: Image) -> Iterator[Path]:
    """A cache that has packages from today and no image."""
    path = Path(tempfile.mkdtemp(prefix="image-test-", dir=images_dir().parent))
    seed(path, recipe_of_host().base_key, days=0)
    yield path
    shutil.rmtree(path)


def seed(cache: Path, key: str, *, days: int) -> None:
    """Lay the packages of the tests' cache into another, under a key and with an age."""
    ours = max(images_dir().glob(f"base-{recipe_of_host().base_key}-*"))
    there = cache / f"base-{key}-{int(time.time()) - days * DAY_SECONDS}"
    shutil.copytree(ours, there, copy_function=os.link)


@pytest.fixture
def full_cache(cache: Path) -> Iterator[Path]:
    """A cache with packages, on a file system that has room for less than an image."""
    small = cache / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(small)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small file system can only be mounted as root")
    try:
        base = next(cache.glob("base-*"))
        (small / base.name).mkdir()
        for file in base.iterdir():
            (small / base.name / file.name).symlink_to(file)
        yield small
    finally:
        subprocess.run(["umount", str(small)], check=True)


def contents(cache: Path) -> list[str]:
    return sorted(path.name.partition("-")[0] for path in cache.iterdir())


async def line_with(child: asyncio.subprocess.Process, words: str) -> str:
    assert child.stdout is not None
    async with asyncio.timeout(STEP_SECONDS_MAX):
        while line := (await child.stdout.readline()).decode():
            if words in line:
                return line
    raise AssertionError(f"the builder ended without saying {words!r}")


@asynccontextmanager
async def builder(cache: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.vm.image_child", str(cache),
        cwd=CHECKOUT, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


async def test_two_builds_at_once_build_once(cache: Path) -> None:
    async with builder(cache) as one, builder(cache) as other:
        async with asyncio.timeout(STEP_SECONDS_MAX):
            said = await asyncio.gather(one.communicate(), other.communicate())
    lines = [out.decode().splitlines() for out, _ in said]
    assert lines[0][-1] == lines[1][-1]
    assert lines[0][-1].startswith("digest ")
    assert sum("file system: done" in line for each in lines for line in each) == 1
    assert contents(cache) == ["base", "image", "lock"]


async def test_a_built_image_is_found_without_a_word(cache: Path) -> None:
    words: list[str] = []
    image = await ensure_image(cache, progress=words.append)
    assert any("done in" in line for line in words)
    words.clear()
    assert await ensure_image(cache, progress=words.append) == image
    assert words == []


@pytest.mark.long
async def test_another_guest_program_is_packed_without_installing_packages(cache: Path) -> None:
    recipe = recipe_of_host()
    changed = replace(recipe, program={**recipe.program, "more.py": b"MORE = 1\n"})
    words: list[str] = []
    before = await ensure_image(cache, progress=words.append)
    after = await ensure_image(cache, progress=words.append, recipe=changed)
    assert after.digest != before.digest
    assert not any("packages" in line for line in words)
    shown = subprocess.run(
        ["debugfs", "-R", "cat /usr/lib/ona-guest/vmpool/guest/more.py", str(after.disk)],
        env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}, check=True, capture_output=True,
    )  # fmt: skip
    assert shown.stdout == b"MORE = 1\n"


@pytest.mark.long
async def test_a_builder_who_hides_his_files_builds_the_same_image(cache: Path) -> None:
    before = os.umask(0o077)
    try:
        image = await ensure_image(cache, progress=lambda _: None)
    finally:
        os.umask(before)
    shown = subprocess.run(
        ["debugfs", "-R", "stat /usr/lib/ona-guest/vmpool/guest", str(image.disk)],
        env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "Mode:  0755" in shown.stdout


@pytest.mark.long
async def test_a_build_cancelled_in_the_middle_leaves_nothing(cache: Path) -> None:
    task = asyncio.ensure_future(ensure_image(cache, progress=lambda _: None))
    async with asyncio.timeout(STEP_SECONDS_MAX):
        while not any(cache.glob("building-*/complete/tree/usr")):
            assert not task.done()
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert contents(cache) == ["base", "lock"]
    assert (await ensure_image(cache, progress=lambda _: None)).disk.exists()


@pytest.mark.long
async def test_after_a_builder_was_killed_among_its_packages_the_next_one_succeeds(
    cache: Path,
) -> None:
    for base in cache.glob("base-*"):
        shutil.rmtree(base)
    async with builder(cache) as child:
        await line_with(child, "installing the essential packages")
        child.kill()
        await child.wait()
    assert contents(cache) == ["building", "lock"]
    seed(cache, recipe_of_host().base_key, days=0)
    image = await ensure_image(cache, progress=print)
    assert image.disk.exists()
    assert contents(cache) == ["base", "image", "lock"]
    assert str(cache) not in Path("/proc/self/mounts").read_text()


@pytest.mark.long
async def test_old_packages_that_cannot_be_renewed_are_used_on_and_told(cache: Path) -> None:
    recipe = replace(recipe_of_host(), sources=NOBODY_THERE)
    seed(cache, recipe.base_key, days=10)
    words: list[str] = []
    image = await ensure_image(cache, progress=words.append, recipe=recipe)
    assert image.disk.exists()
    (why,) = [line for line in words if "could not be renewed" in line]
    assert "10 days old" in why
    assert "ona-test.invalid" in why


async def test_without_a_network_the_first_build_says_what_to_do(cache: Path) -> None:
    recipe = replace(recipe_of_host(), sources=NOBODY_THERE)
    with pytest.raises(HostUnfit, match="check the network") as caught:
        await ensure_image(cache, progress=lambda _: None, recipe=recipe)
    assert "ona-test.invalid" in str(caught.value)
    assert contents(cache) == ["base", "lock"]


@pytest.mark.long
async def test_an_image_is_made_without_a_layer_that_cannot_be_fetched_and_then_with_it(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with npm_registry() as registry:
        monkeypatch.setenv("npm_config_registry", registry.url)
        layer = tiny_layer(registry)
        package = registry.packages.pop(layer.name)
        recipe = replace(recipe_of_host(), layers=(layer,))
        words: list[str] = []
        without = await ensure_image(cache, progress=words.append, recipe=recipe)
        assert without.agents == ()
        assert any("without the agent greeter" in line for line in words)
        assert "not found" in debugfs(without, "stat /opt/ona")
        assert await ensure_image(cache, progress=words.append, recipe=recipe) == without
        registry.packages[layer.name] = package
        image = await ensure_image(cache, progress=words.append, recipe=recipe)
        assert image.agents == ("greeter",)
        words.clear()
        assert await ensure_image(cache, progress=words.append, recipe=recipe) == image
        assert words == []
    assert contents(cache) == ["base", "image", "image", "layer", "lock"]
    where = "/opt/ona/agents/greeter/node_modules/greeter"
    modes = {where: "0755", f"{where}/bin/greet": "0755", f"{where}/LICENSE": "0644"}
    for path, mode in modes.items():
        shown = debugfs(image, f"stat {path}")
        assert f"Mode:  {mode}" in shown
        assert re.search(r"User: +0 +Group: +0 ", shown), path
    assert f"exec {where}/bin/greet" in debugfs(image, "cat /usr/local/bin/greeter")


def debugfs(image: Image, request: str) -> str:
    done = subprocess.run(
        ["debugfs", "-R", request, str(image.disk)],
        env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_the_image_is_not_large(guest_image: Image) -> None:
    parts = (guest_image.disk, guest_image.initrd, guest_image.kernel)
    assert sum(part.stat().st_blocks * 512 for part in parts) < 700 << 20


@pytest.mark.long
async def test_a_full_disk_is_told_and_nothing_is_left_on_it(full_cache: Path) -> None:
    with pytest.raises(HostFull, match="no room"):
        await ensure_image(full_cache, progress=lambda _: None)
    assert contents(full_cache) == ["base", "lock"]


async def test_a_build_from_nothing_is_not_begun_where_it_has_no_room(full_cache: Path) -> None:
    shutil.rmtree(next(full_cache.glob("base-*")))
    words: list[str] = []
    with pytest.raises(HostFull, match="make room"):
        await ensure_image(full_cache, progress=words.append)
    assert words == []
