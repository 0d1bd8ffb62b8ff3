"""What a machine at rest has in its files, and what may not be among it."""

import base64
import json
import mmap
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.vault.engines import role_of


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as held:
        yield held


def _files(root: Path) -> list[Path]:
    return [
        path
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink() and path.stat().st_size
    ]


def holding(root: Path, *texts: str) -> list[Path]:
    """The files in which one of these is, whole."""
    found = []
    for path in _files(root):
        with _mapped(path) as held:
            if any(held.find(text.encode()) >= 0 for text in texts):
                found.append(path)
    return found


def read_back(root: Path, pattern: bytes) -> set[tuple[str, ...]]:
    """The groups of a pattern, wherever it is in the files."""
    found = set()
    for path in _files(root):
        with _mapped(path) as held:
            found |= {
                tuple(group.decode() for group in one.groups())
                for one in re.finditer(pattern, held)
            }
    return found


@dataclass(kw_only=True)
class Issued:
    """What a Vault gave out, by an audit file of its that has every value as it is."""

    tokens: set[str] = field(default_factory=set)
    """Ours and those of turns."""
    values: set[str] = field(default_factory=set)
    """Of the KV engine."""
    users: set[str] = field(default_factory=set)
    identities: dict[str, set[str]] = field(default_factory=dict)
    """By audience."""

    @classmethod
    def read(cls, file: Path, project: str, *audiences: str) -> "Issued":
        """:param audiences: for which identity tokens may be signed"""
        roles = {role_of(project, one): one for one in audiences}
        made = cls(identities={one: set() for one in audiences})
        # What comes after the last end of a line is still being written.
        for line in file.read_text().rpartition("\n")[0].splitlines():
            entry = json.loads(line)
            if entry["type"] == "response" and not entry.get("error"):
                made._take(entry["request"]["path"], entry.get("response") or {}, roles)
        return made

    def _take(self, path: str, answer: dict[str, Any], roles: dict[str, str]) -> None:
        data = answer.get("data") or {}
        if path.startswith("auth/token/create"):
            self.tokens.add(answer["auth"]["client_token"])
        elif path.startswith("secret/data/") and "data" in data:
            self.values |= set(data["data"].values())
        elif path.startswith("database/creds/"):
            self.users.add(data["username"])
        elif path.startswith("identity/oidc/token/"):
            self.identities[roles[path.rpartition("/")[2]]].add(data["token"])


def spellings(secret: str) -> list[str]:
    """A secret as it may stand somewhere: as it is, and as the basic authentication of git."""
    users = ("oauth2", "x-access-token")
    said = [base64.b64encode(f"{user}:{secret}".encode()).decode() for user in users]
    return [secret, *said]


def halves(spelled: str) -> list[str]:
    """One of them is whole even where a page of memory ends within the secret.

    A hypervisor writes pages one by one, with words of its own between them.
    """
    # All before is alike in what one issuer signs, and stands in what was handed too.
    own = spelled.rpartition(".")[2]
    middle = len(own) // 2
    return [own[:middle], own[middle:]]
