"""A repository's devcontainer.json: which one counts, and what is made of it here.

The reference program makes the container. What would not work in a machine of ours is left out of
what it is given, and said: there is nobody's computer around the machine to mount things from, and
the container shares the machine's network, because there is no other way out.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.words.catalogue import N_
from bot.work.detect.tree import Tree

DEFAULTS = (".devcontainer/devcontainer.json", ".devcontainer.json")
"""Where it is looked for, in this order; then in the folders of `.devcontainer`, by name."""
NAMED = re.compile(r"\.devcontainer/[^/]+/devcontainer\.json")
COMPOSE = "dockerComposeFile"
IMAGE_KEYS = ("image", "build", "dockerFile")
HONOURED = frozenset(
    {
        *IMAGE_KEYS,
        *("context", "features", "overrideFeatureInstallOrder"),
        *("initializeCommand", "onCreateCommand", "updateContentCommand"),
        *("postCreateCommand", "postStartCommand", "waitFor"),
        *("containerEnv", "remoteEnv", "containerUser", "remoteUser", "updateRemoteUserUID"),
        *("userEnvProbe", "overrideCommand", "init", "privileged", "capAdd", "securityOpt"),
        *("mounts", "runArgs", "workspaceFolder", "workspaceMount", "forwardPorts"),
    }
)
FOR_OTHERS = frozenset(
    {
        *("$schema", "name", "customizations", "extensions", "settings", "devPort"),
        *("portsAttributes", "otherPortsAttributes", "shutdownAction", "hostRequirements"),
    }
)
"""Nothing is missed without them: they are for editors and for people."""
ALONE = frozenset({"-p", "-P", "--publish", "--publish-all", "--name", "--gpus"})
OF_THE_NETWORK = ("--network", "--net", "--hostname", "-h", "--dns", "--add-host", "--uts", "--ipc")
"""Arguments of the engine that don't go with sharing the machine's."""
FLAGS = frozenset({"-P", "--publish-all"})
"""Of those, what takes no value."""
SAID_MAX = 20
NESTED_MAX = 50
"""Objects and lists in each other."""
PORT_MAX = 65535
WORKSPACES = "/workspaces"
"""Where the reference program has repositories in containers."""

_STRING = r'"(?:\\(?:.|\Z)|[^"\\])*+(?:"|\Z)'
# What is never closed reaches to the end: no text is read more than once.
_STRING_OR_COMMENT = re.compile(rf"{_STRING}|//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_STRING_OR_COMMA = re.compile(rf"{_STRING}|,(?=\s*[}}\]])", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Devcontainer:
    """The one that counts."""

    path: str
    config: Mapping[str, Any] = field(default_factory=dict)
    """What the reference program is given of it; empty: it can't be used."""
    unusable: str | None = None
    """Why no container can be made of it, as a clause; None: one can."""
    left_out: tuple[str, ...] = ()
    """What of it is not done, for people."""
    ports: tuple[int, ...] = ()
    """That its programs listen on and people shall see."""

    @property
    def digest(self) -> str:
        """Of everything that a template takes from it."""
        parts = [self.path, dict(self.config), self.unusable, self.ports]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def devcontainer_of(tree: Tree) -> Devcontainer | None:
    """The repository's one; None: it has none."""
    named = sorted(path for path in tree.texts if NAMED.fullmatch(path))
    path = next((path for path in (*DEFAULTS, *named) if path in tree.texts), None)
    return None if path is None else understood(path, tree.texts[path])


def understood(path: str, text: str) -> Devcontainer:
    """What is made of a file of this text."""
    said = parsed(text)
    why = _why_unusable(said)
    if said is None or why is not None:
        return Devcontainer(path=path, unusable=why)
    config = {key: value for key, value in said.items() if key in HONOURED}
    left_out = [key for key in said if key not in HONOURED and key not in FOR_OTHERS]
    for key, kept_of in (("runArgs", _arguments), ("mounts", _mounts)):
        if key in config:
            config[key], not_done = kept_of(config[key])
            left_out += [f"{key} {one}" for one in not_done]
    ports, not_ours = _ports(config.pop("forwardPorts", []))
    left_out += [f"forwardPorts {one}" for one in not_ours]
    shown = tuple(_shown(one) for one in left_out[:SAID_MAX])
    return Devcontainer(path=path, config=config, left_out=shown, ports=ports)


def parsed(text: str) -> Mapping[str, Any] | None:
    """JSON with comments and commas too many; None: it isn't, or holds no object, or too much."""
    bare = _STRING_OR_COMMENT.sub(_kept, text.removeprefix("\ufeff"))
    try:
        said = json.loads(_STRING_OR_COMMA.sub(_kept, bare))
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) and _is_bounded(said, NESTED_MAX) else None


def _is_bounded(said: Any, levels: int) -> bool:
    """Whether no more lies inside each other than everybody can read who gets it."""
    inner = said.values() if isinstance(said, dict) else said if isinstance(said, list) else ()
    return levels > 0 and all(_is_bounded(one, levels - 1) for one in inner)


def for_machine(config: Mapping[str, Any], directory: str, shared: Sequence[str]) -> dict[str, Any]:
    """What the reference program is given in a machine whose repository lies in `directory`.

    Where the file doesn't say otherwise, the repository is found in the container where that
    program would have it. Its parent is mounted: a directory that takes its place is seen, too.

    :param shared: volumes, `PATH:PATH` or `PATH:PATH:ro`
    """
    work, _, name = directory.rpartition("/")
    mounts = [word for volume in (f"{work}:{work}", *shared) for word in ("--volume", volume)]
    given = {**config, "runArgs": [*mounts, *config.get("runArgs", [])]}
    if "workspaceMount" not in config and "workspaceFolder" not in config:
        given["workspaceMount"] = f"type=bind,source={work},target={WORKSPACES}"
        given["workspaceFolder"] = f"{WORKSPACES}/{name}"
    return given


def _why_unusable(said: Mapping[str, Any] | None) -> str | None:
    if said is None:
        return N_("it is no JSON object")
    if COMPOSE in said:
        return N_("it names Docker Compose files, which ona doesn't run")
    if not any(key in said for key in IMAGE_KEYS):
        return N_("it names neither an image nor a Dockerfile")
    return None


def _arguments(said: Any) -> tuple[list[str], list[str]]:
    """What of `runArgs` the engine gets, and what it doesn't."""
    words = [word for word in said if isinstance(word, str)] if isinstance(said, list) else []
    kept: list[str] = []
    dropped: list[str] = []
    coming = iter(words)
    for word in coming:
        name, has_value, _ = word.partition("=")
        if name not in ALONE and name not in OF_THE_NETWORK:
            kept.append(word)
            continue
        takes_next = not has_value and name not in FLAGS
        dropped.append(" ".join([word, *([next(coming, "")] if takes_next else [])]).strip())
    return kept, dropped


def _mounts(said: Any) -> tuple[list[Any], list[str]]:
    """Mounts of what is in the machine anyway: volumes, memory, the repository itself."""
    kept: list[Any] = []
    dropped: list[str] = []
    for one in said if isinstance(said, list) else []:
        facts = _facts(one)
        source = str(facts.get("source", facts.get("src", "")))
        is_ours = source.startswith("${localWorkspaceFolder}")
        if facts.get("type", "volume") != "bind" or is_ours:
            kept.append(one)
        else:
            dropped.append(source)
    return kept, dropped


def _facts(mount: Any) -> Mapping[str, Any]:
    if isinstance(mount, Mapping):
        return mount
    words = (word.partition("=") for word in str(mount).split(","))
    return {name.strip(): value.strip() for name, _, value in words}


def _ports(said: Any) -> tuple[tuple[int, ...], list[str]]:
    """Ports of the container itself, each once, and what are none."""
    ports: dict[int, None] = {}
    others: list[str] = []
    for one in said if isinstance(said, list) else []:
        port = _port(one)
        if port is None:
            others.append(str(one))
        else:
            ports[port] = None
    return tuple(ports), others


def _port(said: Any) -> int | None:
    host, _, number = str(said).rpartition(":")
    is_here = host in {"", "localhost", "127.0.0.1"} and number.isascii() and number.isdigit()
    return int(number) if is_here and 0 < int(number[:6]) <= PORT_MAX else None


def _shown(text: str) -> str:
    return "".join(c for c in text if c.isprintable())[:100]


def _kept(match: re.Match[str]) -> str:
    return match[0] if match[0].startswith('"') else " "


def probe(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The flags with which the user's shell is asked for its environment; none: it isn't asked."""
    flags = {"none": "", "loginShell": "-lc", "interactiveShell": "-ic"}
    flag = flags.get(str(config.get("userEnvProbe")), "-lic")
    return (flag,) if flag else ()
