"""One project's bare mirror on this host: fetched by one process at a time, mended when broken.

<id>.git         the mirror; refs/heads and refs/tags are the remote's
                 refs/ona/keep/<commit>: bases that sessions still need
<id>.lock        flock of whoever fetches; its git holds it too, so a killed fetcher's
                 child ends before the next one starts
<id>.git.new     a mirror being made; moved into place when it is whole
"""

import asyncio
import fcntl
import os
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from bot.work.git import GitFailed, GitLimits, GitTimedOut, GitTooLarge, git
from bot.work.remote import Listing, Remote, empty, explained, missing

log = structlog.get_logger(__name__)

HEADS = "refs/heads/"
NO_DEFAULT = "refs/heads/.ona-no-default"
REFSPECS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
FETCH = (
    "fetch",
    "--quiet",
    "--prune",
    "--force",
    "--update-shallow",
    "--no-auto-maintenance",
    "--no-write-fetch-head",
    "--no-recurse-submodules",
)
DAMAGED = "ona-damaged"
LOCK_POLL_SECONDS = 0.1
LIST_SECONDS_MAX = 60.0


@dataclass(frozen=True, kw_only=True)
class MirrorLimits:
    """What a mirror may take."""

    seconds_max: float = 900
    """Of one update, waiting for others included."""
    bytes_max: int = 10_000_000_000
    """Of the mirror on disk."""


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """The mirror in `directory`, which ends in `.git`; it may not exist yet."""

    directory: Path
    limits: MirrorLimits
    environment: Mapping[str, str] = field(default_factory=dict)
    """What the operator's git needs besides, such as a proxy."""

    async def update(self, source: Remote) -> None:
        """Make it equal to the remote. :raises TellPerson: why it can't be"""
        began = time.monotonic()
        async with self._locked(source) as lock:
            left = max(1.0, self.limits.seconds_max - (time.monotonic() - began))
            try:
                await self._update(source, lock, left)
            except GitFailed as error:
                raise explained(
                    error,
                    source,
                    seconds_max=self.limits.seconds_max,
                    bytes_max=self.limits.bytes_max,
                ) from None

    def damaged(self) -> None:
        """Something in it could not be read: the next update makes it anew."""
        (self.directory / DAMAGED).touch()

    async def run(self, *argv: str, stdin: bytes = b"") -> bytes:
        """Ask git about it. :raises GitFailed:"""
        limits = GitLimits(seconds_max=self.limits.seconds_max)
        return await git(*argv, git_dir=self.directory, limits=limits, stdin=stdin)

    @property
    def is_damaged(self) -> bool:
        """Whether the next update makes it anew."""
        return (self.directory / DAMAGED).exists()

    # -- inside -----------------------------------------------------------------------------

    async def _update(self, source: Remote, lock: int, seconds_max: float) -> None:
        if source.path is not None and not await asyncio.to_thread(source.path.is_dir):
            raise missing(source)
        await asyncio.to_thread(self._tidy)
        await self._prepare(self.directory, source)
        listing = await self._list(source, lock, min(seconds_max, LIST_SECONDS_MAX))
        if not listing:
            raise empty(source)
        if self.is_damaged:
            await self._make_anew(source, listing, lock, seconds_max)
        else:
            await self._fetch_or_mend(source, listing, lock, seconds_max)
        await self._point(listing)
        await self._collect(lock, seconds_max)

    async def _fetch_or_mend(
        self, source: Remote, listing: Listing, lock: int, seconds_max: float
    ) -> None:
        try:
            await self._fetch(self.directory, source, listing, lock, seconds_max)
        except (GitTooLarge, GitTimedOut):
            raise
        except GitFailed as error:
            if await self._whole():
                raise
            log.warning("mirror_made_anew", mirror=self.directory.name, error=str(error)[:300])
            await self._make_anew(source, listing, lock, seconds_max)

    @asynccontextmanager
    async def _locked(self, source: Remote) -> AsyncIterator[int]:
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        path = self.directory.with_suffix(".lock")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            async with asyncio.timeout(self.limits.seconds_max):
                while True:
                    try:
                        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    except BlockingIOError:
                        await asyncio.sleep(LOCK_POLL_SECONDS)
        except TimeoutError:
            os.close(descriptor)
            limit = self.limits
            raise explained(
                GitTimedOut(""), source, seconds_max=limit.seconds_max, bytes_max=limit.bytes_max
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _tidy(self) -> None:
        """Remove what a killed update left; nobody else is at it."""
        shutil.rmtree(self._new, ignore_errors=True)
        if not all((self.directory / name).is_file() for name in ("HEAD", "config")):
            shutil.rmtree(self.directory, ignore_errors=True)
            return
        for path in self.directory.rglob("*.lock"):
            path.unlink(missing_ok=True)
        for path in (self.directory / "objects").rglob("tmp_*"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    @property
    def _new(self) -> Path:
        return self.directory.with_name(self.directory.name + ".new")

    async def _prepare(self, directory: Path, source: Remote) -> None:
        if not await asyncio.to_thread(directory.exists):
            made = self._new
            limits = GitLimits(seconds_max=60)
            await git("init", "--quiet", "--bare", "--template=", git_dir=made, limits=limits)
            if made != directory:
                made.rename(directory)
        (directory / "ona-config").write_text(source.config(), encoding="utf-8")

    async def _list(self, source: Remote, lock: int, seconds_max: float) -> dict[str, str]:
        said = await git(
            *("ls-remote", "--symref", "--", source.address, "HEAD", "refs/heads/*"),
            git_dir=self.directory,
            limits=GitLimits(seconds_max=seconds_max),
            more=self._way(self.directory, source),
            holding=(lock,),
        )
        return listing_of(said.decode("utf-8", "surrogateescape"))

    def _way(self, directory: Path, source: Remote) -> dict[str, str]:
        return {**self.environment, **source.environment(directory / "ona-config")}

    async def _fetch(
        self, directory: Path, source: Remote, listing: Listing, lock: int, seconds_max: float
    ) -> None:
        used = await asyncio.to_thread(_size, directory)
        room = self.limits.bytes_max - used
        if room <= 0:
            raise GitTooLarge("no room")
        refspecs = [*REFSPECS, *(["+HEAD:refs/ona/head"] if "HEAD" in listing else [])]
        await git(
            *(*FETCH, "--", source.address, *refspecs),
            git_dir=directory,
            limits=GitLimits(seconds_max=seconds_max, file_bytes_max=room),
            more=self._way(directory, source),
            holding=(lock,),
        )

    async def _whole(self) -> bool:
        """Whether every object that our refs need is there."""
        try:
            await self.run("fsck", "--connectivity-only", "--no-dangling", "--no-progress")
        except GitTimedOut:
            return True
        except GitFailed:
            return False
        return True

    async def _make_anew(
        self, source: Remote, listing: Listing, lock: int, seconds_max: float
    ) -> None:
        new = self._new
        await self._prepare(new, source)
        await self._fetch(new, source, listing, lock, seconds_max)
        keep = "+refs/ona/keep/*:refs/ona/keep/*"
        limits = GitLimits(seconds_max=seconds_max)
        try:
            await git(*FETCH, "--", str(self.directory), keep, git_dir=new, limits=limits)
        except GitFailed as error:
            log.warning("kept_bases_lost", mirror=self.directory.name, error=str(error)[:300])
        await asyncio.to_thread(shutil.rmtree, self.directory)
        new.rename(self.directory)

    async def _point(self, listing: Listing) -> None:
        """Let HEAD say what `base` of no branch is."""
        branch = default_branch(listing)
        if branch is None and "HEAD" in listing:
            await self.run("update-ref", "--no-deref", "HEAD", listing["HEAD"])
        else:
            head = f"ref: {branch or NO_DEFAULT}\n"
            if (self.directory / "HEAD").read_text() != head:
                (self.directory / "HEAD.ona").write_text(head)
                (self.directory / "HEAD.ona").rename(self.directory / "HEAD")

    async def _collect(self, lock: int, seconds_max: float) -> None:
        """Pack what many fetches left; what no ref needs goes after two weeks."""
        limits = GitLimits(seconds_max=seconds_max)
        try:
            await git(
                *("gc", "--auto", "--quiet"),
                git_dir=self.directory,
                limits=limits,
                holding=(lock,),
            )
        except GitFailed as error:
            log.warning("mirror_not_packed", mirror=self.directory.name, error=str(error)[:300])


def listing_of(said: str) -> dict[str, str]:
    """Read `git ls-remote --symref`; `HEAD` names its branch as `ref: …` when it has one."""
    listing: dict[str, str] = {}
    for line in said.splitlines():
        value, _, name = line.partition("\t")
        if name == "HEAD" and value.startswith("ref: "):
            listing["ref"] = value.removeprefix("ref: ")
        elif name == "HEAD" or name.startswith(HEADS):
            listing[name] = value
    return listing if any(name != "ref" for name in listing) else {}


def default_branch(listing: Listing) -> str | None:
    """The branch that sessions start from: the remote's own, else the one nobody would doubt."""
    named = listing.get("ref")
    if named is not None and named in listing:
        return named
    if "HEAD" in listing:
        return None
    branches = [name for name in listing if name.startswith(HEADS)]
    usual = [name for name in (f"{HEADS}main", f"{HEADS}master") if name in branches]
    if len(branches) == 1:
        return branches[0]
    return usual[0] if usual else None


def _size(directory: Path) -> int:
    return sum(entry.stat().st_size for entry in directory.rglob("*") if not entry.is_symlink())
