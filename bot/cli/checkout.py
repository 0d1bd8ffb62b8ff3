"""Which repository a directory is a checkout of, as the project that is meant may be known by."""

import subprocess
from pathlib import Path

from bot.errors import Refused

GIT_SECONDS_MAX = 5.0
ADDRESSES_MAX = 20
"""Of one checkout that are told."""


def addresses(directory: Path) -> list[str]:
    """Where the checkout at `directory` is and what it is fetched from, without credentials.

    None if it is no checkout, or git can't say.
    """
    top = _git(directory, "rev-parse", "--show-toplevel")
    if not top:
        return []
    remotes = _git(directory, "config", "--get-regexp", r"^remote\..*\.url$").splitlines()
    urls = (_address(line.partition(" ")[2], Path(top)) for line in remotes)
    return list(dict.fromkeys([top, *(url for url in urls if url)]))[:ADDRESSES_MAX]


def _address(url: str, top: Path) -> str | None:
    from bot.work.remote import remote

    path = Path(url).expanduser()
    if "://" not in url and (top / path).is_dir():
        return str((top / path).resolve())
    try:
        return remote(url).address
    except Refused:
        return None


def _git(directory: Path, *arguments: str) -> str:
    """What git prints; empty when it fails or is not there."""
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments],
            capture_output=True,
            timeout=GIT_SECONDS_MAX,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""
