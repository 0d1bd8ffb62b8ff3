"""The package registries that this host's own package managers are configured for.

Nothing here names a registry: the programs are asked, and their files are read. Only hosts and
ports are taken from what they say; addresses may hold passwords.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vmpool.network.policy import BadRule, Policy, Rule

ASK_SECONDS_MAX = 10.0
_PIP = (
    "import json\n"
    "from pip._internal.models.index import PyPI\n"
    "from pip._internal.configuration import Configuration\n"
    "known = Configuration(isolated=False)\n"
    "known.load()\n"
    "said = dict(known.items())\n"
    "flat = {}\n"
    "for value in said.values():\n"
    "    flat.update(value if isinstance(value, dict) else {})\n"
    "flat.update({k: v for k, v in said.items() if isinstance(v, str)})\n"
    "index = [v for k, v in flat.items() if k.endswith('index-url')]\n"
    "default = [PyPI.simple_url, 'https://' + PyPI.file_storage_domain]\n"
    "own = any(k.endswith('.index-url') and 'extra' not in k for k in flat)\n"
    "print(json.dumps(index + ([] if own else default)))\n"
)
_URL = re.compile(r"\bhttps?://[^\s\"'\]>,|]+")
_QUIET = {"go": ("direct", "off")}

Ask = Callable[[Sequence[str]], str]
"""Runs a program; what it printed, empty when there is none or it failed."""


@dataclass(frozen=True, order=True)
class Registry:
    """A host from which packages come."""

    host: str
    port: int | None
    manager: str
    """pip, uv, npm, apt, go, cargo."""
    where: str
    """The file or the command that named it."""

    @property
    def line(self) -> str:
        """As a line of a policy."""
        return self.host if self.port is None else f"{self.host}:{self.port}"


def ask(argv: Sequence[str]) -> str:
    """See `Ask`."""
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=ASK_SECONDS_MAX,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeError):
        return ""
    return done.stdout if done.returncode == 0 else ""


def registries(root: Path, home: Path, program: Ask = ask) -> list[Registry]:
    """What the package managers here are configured for, each host once for each of them.

    :param root: of the file system
    """
    found: dict[tuple[str, int | None, str], Registry] = {}
    for manager, where, urls in _sources(root, home, program):
        for url in urls:
            one = _registry(url, manager, where)
            if one is not None:
                found.setdefault((one.host, one.port, manager), one)
    return sorted(found.values())


def policy_of(found: Iterable[Registry]) -> Policy:
    """They may all be reached."""
    return Policy(
        rules=tuple(
            Rule(True, one.host, one.port, f"registry of {one.manager}, by {one.where}")
            for one in found
        )
    )


Found = tuple[str, str, Iterable[str]]


def _sources(root: Path, home: Path, program: Ask) -> Iterator[Found]:
    yield "pip", "pip's configuration", _listed(_pip(program))
    for path in (root / "etc/uv/uv.toml", home / ".config/uv/uv.toml"):
        yield "uv", str(path), _uv(_toml(path))
    yield "npm", "npm config get registry", [program(["npm", "config", "get", "registry"]).strip()]
    for path in (root / "etc/npmrc", home / ".npmrc"):
        yield "npm", str(path), _npmrc(_text(path))
    yield from _apt(root)
    proxies = program(["go", "env", "GOPROXY", "GOSUMDB"]).split()
    yield "go", "go env", [_as_url(one) for proxy in proxies for one in re.split(r"[,|]", proxy)]
    for name in ("config.toml", "config"):
        yield "cargo", str(home / ".cargo" / name), _cargo(_toml(home / ".cargo" / name))


def _pip(program: Ask) -> str:
    """Of the first Python here that has pip; the one that runs us may have none."""
    return program(["python3", "-c", _PIP]) or program([sys.executable, "-c", _PIP])


def _listed(said: str) -> list[str]:
    with suppress(ValueError, TypeError):
        return [url for one in json.loads(said) for url in str(one).split()]
    return []


def _uv(said: Mapping[str, Any]) -> list[str]:
    pip = said.get("pip") if isinstance(said.get("pip"), Mapping) else {}
    urls: list[str] = []
    for table in (said, pip or {}):
        urls += [str(table[key]) for key in ("index-url",) if key in table]
        urls += [str(url) for url in table.get("extra-index-url") or []]
        urls += [str(one.get("url")) for one in table.get("index") or [] if isinstance(one, dict)]
    return urls


def _npmrc(said: str) -> list[str]:
    lines = (line.partition("=") for line in said.splitlines() if not line.startswith((";", "#")))
    return [value.strip() for key, _, value in lines if key.strip().endswith("registry")]


def _apt(root: Path) -> Iterator[Found]:
    apt = root / "etc/apt"
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]:
        lines = [line for line in _text(path).splitlines() if line.strip().startswith("deb")]
        yield "apt", str(path), [url for line in lines for url in _URL.findall(line)]
    for path in sorted((apt / "sources.list.d").glob("*.sources")):
        lines = [line for line in _text(path).splitlines() if line.lower().startswith("uris:")]
        yield "apt", str(path), [url for line in lines for url in _URL.findall(line)]


def _cargo(said: Mapping[str, Any]) -> list[str]:
    tables = [*_tables(said.get("registries")), *_tables(said.get("source"))]
    urls = [str(table.get(key, "")) for table in tables for key in ("index", "registry")]
    return [url.removeprefix("sparse+") for url in urls]


def _tables(value: Any) -> list[Mapping[str, Any]]:
    found = value.values() if isinstance(value, Mapping) else ()
    return [one for one in found if isinstance(one, Mapping)]


def _as_url(proxy: str) -> str:
    """A checksum database may be named by its host alone."""
    bare = proxy.split("+", maxsplit=1)[0]
    return proxy if "://" in proxy or proxy in _QUIET["go"] else f"https://{bare}"


def _registry(url: str, manager: str, where: str) -> Registry | None:
    try:
        parts = urlsplit(url.strip())
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            return None
        port = parts.port if parts.port not in {80, 443} else None
        Rule(True, parts.hostname, port)
    except (ValueError, BadRule):
        return None
    return Registry(parts.hostname, port, manager, where)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _toml(path: Path) -> Mapping[str, Any]:
    with suppress(tomllib.TOMLDecodeError):
        return tomllib.loads(_text(path))
    return {}


def here() -> list[Registry]:
    """Those of this host; runs some programs, for a second or so."""
    home = Path(os.path.expanduser("~"))
    return registries(Path("/"), home)
