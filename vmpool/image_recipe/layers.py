"""Agents as layers of the guest image: programs from npm at pinned versions, below /opt/ona/agents.

The reference program for devcontainer.json is one as well, in images that have a container engine.

    agents/<layer>/package.json       what is wanted, at exact versions
    agents/<layer>/package-lock.json  what that takes, each package with its version and hash

The files name no registry: the npm configuration of the host decides where packages come from.
Agents that are scripts run on a Node of their own, the layer `node`, which is on nobody's PATH: a
project brings the Node that it wants.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PINS = Path(__file__).parent / "agents"
HOME = "opt/ona/agents"
"""Where layers lie in the machine, each in a directory of its name."""
COMMANDS = "usr/local/bin"
NODE = "node"
DEVCONTAINERS = "devcontainers"
CPUS = {"amd64": "x64", "arm64": "arm64"}
"""How npm calls what Debian calls so."""
NOT_RUN = ("*.map", "*.d.ts", "*.d.mts", "*.d.cts")
"""Files for whoever develops with a package, half of all there are."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A program that people and we start by its name; `{cpu}` in a file is the processor."""

    name: str
    file: str
    """Below the layer's node_modules."""
    by_node: bool = False
    """A script, not a binary."""


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """What the pins don't say of a layer; `{cpu}` is the processor as npm calls it."""

    main: str
    """The package by whose version the layer is known."""
    commands: tuple[Command, ...] = ()
    needs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    """What else must be there, as patterns. npm calls an install without its optional packages
    complete, and those of a processor are optional."""
    left_out: tuple[str, ...] = ()


_KINDS: Mapping[str, _Kind] = {
    NODE: _Kind(
        main="node-linux-{cpu}",
        files=("node-linux-{cpu}/bin/node",),
        left_out=tuple(f"node-linux-{{cpu}}/{each}" for each in ("include", "lib", "share")),
    ),
    "claude-code": _Kind(
        main="@agentclientprotocol/claude-agent-acp",
        commands=(
            Command(
                name="claude-agent-acp",
                file="@agentclientprotocol/claude-agent-acp/dist/index.js",
                by_node=True,
            ),
            Command(name="claude", file="@anthropic-ai/claude-agent-sdk-linux-{cpu}/claude"),
        ),
        needs=(NODE,),
    ),
    "codex": _Kind(
        main="@agentclientprotocol/codex-acp",
        commands=(
            Command(
                name="codex-acp",
                file="@agentclientprotocol/codex-acp/dist/index.js",
                by_node=True,
            ),
            Command(name="codex", file="@openai/codex/bin/codex.js", by_node=True),
        ),
        needs=(NODE,),
        files=("@openai/codex-linux-{cpu}/vendor/*/bin/codex",),
        # It speaks and listens with them.
        left_out=("@openai/codex-linux-{cpu}/vendor/*/codex-resources/voice",),
    ),
    "opencode": _Kind(
        main="opencode-linux-{cpu}",
        commands=(Command(name="opencode", file="opencode-linux-{cpu}/bin/opencode"),),
    ),
    DEVCONTAINERS: _Kind(
        main="@devcontainers/cli",
        commands=(
            Command(name="devcontainer", file="@devcontainers/cli/devcontainer.js", by_node=True),
        ),
        needs=(NODE,),
    ),
}
AGENTS = tuple(name for name, kind in _KINDS.items() if kind.commands and name != DEVCONTAINERS)
"""The agents that an image can hold, by the names that people write."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer for one kind of processor."""

    name: str
    cpu: str
    version: str
    package: bytes
    """Its package.json."""
    lock: bytes
    """Its package-lock.json."""
    commands: tuple[Command, ...]
    needs: tuple[str, ...]
    """Names of layers that it doesn't work without."""
    files: tuple[str, ...]
    """What must be there after the install, as patterns below node_modules."""
    left_out: tuple[str, ...]
    """What doesn't go into the image, as patterns of tar."""

    @property
    def digest(self) -> str:
        """Of everything that decides what its files are."""
        files = [hashlib.sha256(file).hexdigest() for file in (self.package, self.lock)]
        parts = [self.name, self.cpu, self.left_out, files]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    @property
    def is_asked_for(self) -> bool:
        """Whether somebody wants it for itself, and not for what runs on it."""
        return bool(self.commands)

    @property
    def is_agent(self) -> bool:
        """Whether people know it by name."""
        return self.is_asked_for and self.name != DEVCONTAINERS

    def scripts(self) -> dict[str, str]:
        """What lies in the machine's COMMANDS: name → text of a shell script."""
        return {each.name: self._script(each) for each in self.commands}

    def _script(self, command: Command) -> str:
        program = f"/{HOME}/{self.name}/node_modules/{command.file}"
        if command.by_node:
            node = f"/{HOME}/{NODE}/node_modules/node-linux-{self.cpu}/bin/node"
            program = f"{node} {program}"
        return f'#!/bin/sh\nexec {program} "$@"\n'


def layers_of(wanted: Iterable[str], architecture: str, *, pins: Path = PINS) -> tuple[Layer, ...]:
    """The layers that these take, each once and after those that it needs.

    :param wanted: of AGENTS and DEVCONTAINERS
    :param architecture: as Debian calls it
    :raises KeyError: there is no such layer
    """
    names: list[str] = []
    for name in wanted:
        names += [each for each in (*_KINDS[name].needs, name) if each not in names]
    return tuple(_layer(name, CPUS[architecture], pins / name) for name in names)


def usable(layers: Iterable[Layer], there: Collection[str]) -> tuple[Layer, ...]:
    """Of layers whose names are `there`, those that have what they need and are themselves needed.

    A Node that no agent runs on is left out.
    """
    found = [
        layer
        for layer in layers
        if layer.name in there and all(need in there for need in layer.needs)
    ]
    needed = {name for layer in found for name in layer.needs}
    return tuple(layer for layer in found if layer.is_asked_for or layer.name in needed)


def _layer(name: str, cpu: str, pins: Path) -> Layer:
    kind = _KINDS[name]
    lock = (pins / "package-lock.json").read_bytes()
    main = kind.main.format(cpu=cpu)
    commands = tuple(
        Command(name=each.name, file=each.file.format(cpu=cpu), by_node=each.by_node)
        for each in kind.commands
    )
    return Layer(
        name=name,
        cpu=cpu,
        version=json.loads(lock)["packages"][f"node_modules/{main}"]["version"],
        package=(pins / "package.json").read_bytes(),
        lock=lock,
        commands=commands,
        needs=kind.needs,
        files=(
            *(each.file for each in commands),
            *(each.format(cpu=cpu) for each in kind.files),
        ),
        left_out=(*NOT_RUN, *(f"node_modules/{each.format(cpu=cpu)}" for each in kind.left_out)),
    )
