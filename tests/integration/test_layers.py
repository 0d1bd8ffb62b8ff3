"""Layers are fetched by a real npm, from a registry that serves what tests made up."""

import asyncio
import json
import os
import socket
import tarfile
from pathlib import Path

import pytest

from tests.fakes.npm_registry import npm_registry
from tests.support.pins import renew
from tests.support.tiny_layer import pinned, tiny_layer
from vmpool import layers as cache_of
from vmpool.image_recipe.lock import exclusive
from vmpool.image_recipe.workshop import Steps
from vmpool.layers import TAR, fetch_missing, found, path_of, why_missing

LIMIT_SECONDS = 100


@pytest.fixture
async def registry(monkeypatch):
    async with npm_registry() as registry:
        monkeypatch.setenv("npm_config_registry", registry.url)
        yield registry


@pytest.fixture
def cache(tmp_path) -> Path:
    path = tmp_path / "cache"
    path.mkdir()
    return path


async def fetch(cache: Path, *layers) -> list[str]:
    """What was said meanwhile."""
    words: list[str] = []
    async with exclusive(cache / "lock", on_wait=lambda: None) as held:
        async with asyncio.timeout(LIMIT_SECONDS):
            await fetch_missing(cache, layers, held=held, steps=Steps(words.append))
    return words


def contents(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir()} - {"lock"}


def nowhere() -> str:
    """An address at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/"


async def test_a_layer_is_fetched_once_and_is_roots_and_for_everybody_to_read(registry, cache):
    layer = tiny_layer(registry)
    before = os.umask(0o077)
    try:
        words = await fetch(cache, layer)
    finally:
        os.umask(before)
    assert words[0] == "greeter 1.0.0"
    assert words[-1].startswith("greeter 1.0.0: done in")
    assert contents(cache) == {path_of(cache, layer).name}
    with tarfile.open(path_of(cache, layer) / TAR) as archive:
        members = {member.name: member for member in archive}
    assert {(member.uid, member.gid) for member in members.values()} == {(0, 0)}
    modes = {name: oct(member.mode) for name, member in members.items()}
    assert modes["node_modules/greeter/bin/greet"] == "0o755"
    assert modes["node_modules/greeter/LICENSE"] == "0o644"
    assert modes["node_modules/greeter"] == "0o755"
    assert "node_modules/greeter/bin/greet.map" not in modes
    asked = list(registry.asked)
    assert await fetch(cache, layer) == []
    assert registry.asked == asked


async def test_what_is_not_what_was_pinned_is_not_kept(registry, cache):
    layer = tiny_layer(registry)
    registry.add("greeter", {"bin/greet": "#!/bin/sh\nrm -rf /work\n"})
    words = await fetch(cache, layer)
    assert "something else than what is pinned" in words[-1]
    assert "without the agent greeter" in words[-1]
    assert contents(cache) == {"failed-greeter"}
    assert found(cache, [layer]) == ()


async def test_without_a_registry_it_is_told_and_the_next_time_tried_again(
    registry, cache, monkeypatch
):
    layer = tiny_layer(registry)
    monkeypatch.setenv("npm_config_registry", nowhere())
    words = await fetch(cache, layer)
    assert "can't be reached" in words[-1]
    assert contents(cache) == {"failed-greeter"}
    (why,) = why_missing(cache, [layer]).values()
    assert why in words[-1]
    monkeypatch.setenv("npm_config_registry", registry.url)
    await fetch(cache, layer)
    assert contents(cache) == {path_of(cache, layer).name}
    assert why_missing(cache, [layer]) == {}


async def test_an_optional_package_that_did_not_come_is_missed(registry, cache):
    there = tiny_layer(registry, optional=True)
    hashes = {"greeter": registry.add("greeter", {"LICENSE": "free"})}
    lacking = pinned(hashes, "greeter", optional=True)
    words = await fetch(cache, lacking)
    assert "npm left greeter/bin/greet out" in words[-1]
    del registry.packages["greeter"]
    assert "npm left greeter/bin/greet out" in (await fetch(cache, there))[-1]
    assert contents(cache) == {"failed-greeter"}


async def test_what_runs_on_a_layer_that_failed_is_not_fetched(registry, cache):
    base = tiny_layer(registry, "base")
    agent = tiny_layer(registry, "greeter", needs=("base",))
    del registry.packages["base"]
    words = await fetch(cache, base, agent)
    assert "greeter" not in registry.asked
    assert [line.partition(":")[0] for line in words[-2:]] == [
        "the image is made without the agent base",
        "the image is made without the agent greeter",
    ]
    assert why_missing(cache, [base, agent])["greeter"] == why_missing(cache, [base])["base"]


async def test_a_fetch_that_is_cancelled_leaves_nothing(registry, cache):
    layer = tiny_layer(registry)
    task = asyncio.ensure_future(fetch(cache, layer))
    async with asyncio.timeout(LIMIT_SECONDS):
        while not list(cache.glob("building-*/tree")):
            assert not task.done()
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert contents(cache) == set()


async def test_a_registry_that_does_not_answer_is_given_up(registry, cache, monkeypatch):
    monkeypatch.setattr(cache_of, "FETCH_SECONDS_MAX", 2.0)
    layer = tiny_layer(registry)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{silent.getsockname()[1]}/")
        words = await fetch(cache, layer)
    assert "it was not fetched within" in words[-1]
    assert contents(cache) == {"failed-greeter"}


async def test_pins_are_renewed_without_the_address_of_the_registry(registry, tmp_path):
    digest = registry.add("greeter", {"LICENSE": "free"})
    old = {"name": "layer", "private": True, "dependencies": {"greeter": "0.9.0"}}
    entry = {"version": "0.9.0", "integrity": "sha512-old"}
    lock = {"lockfileVersion": 3, "packages": {"": old, "node_modules/greeter": entry}}
    (tmp_path / "package.json").write_text(json.dumps(old))
    (tmp_path / "package-lock.json").write_text(json.dumps(lock))
    async with asyncio.timeout(LIMIT_SECONDS):
        assert await asyncio.to_thread(renew, tmp_path) == ["greeter 0.9.0 → 1.0.0"]
    package = json.loads((tmp_path / "package.json").read_text())
    assert package == {**old, "dependencies": {"greeter": "1.0.0"}}
    written = (tmp_path / "package-lock.json").read_text()
    assert json.loads(written)["packages"]["node_modules/greeter"]["integrity"] == digest
    assert registry.url not in written
