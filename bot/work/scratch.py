"""On the host: a repository for one delivery, thrown away afterwards.

It has the mirror's objects by reference, and what the machine sent of its own; so nothing that a
machine says gets into the mirror. Objects are checked as they come in. What is pushed goes from
here, by compare-and-swap: a branch is moved only from the commit that was looked at.
"""

import asyncio
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.errors import OnaError, Refused, TryAgain
from bot.words.catalogue import N_
from bot.words.catalogue import gettext as _
from bot.work.delivering import Change, ChangedFile
from bot.work.diffs import changed_files
from bot.work.git import STDOUT_BYTES_MAX, GitFailed, GitLimits, GitTimedOut, git
from bot.work.mirror import HEADS, Mirror, default_branch, listing_of
from bot.work.remote import NOT_ALLOWED, Remote
from bot.work.secret_scan import leaks_in
from vmpool.network.forge.pushing import ZERO

HEAD, TARGET, THERE = "refs/ona/head", "refs/ona/target", "refs/ona/there"
LOOK_SECONDS_MAX = 60.0
MEMORY_BYTES_MAX = 2 << 30
"""Of each call of git, as it reads what machines say: half a megabyte of lines without a word
would take gigabytes to compare."""
KEPT_IN_SESSION = N_("it is in the session and in its checkpoint")
_REFUSED = re.compile(r"! \[remote rejected\] .*?\((?P<why>.*)\)")
_SAID = re.compile(r"^remote: ?(.*)$", re.MULTILINE)
DIFF_BYTES_MAX = 200_000
"""Of what a turn changed, as people get it."""
DIFF_FILES_MAX = 200
"""Of it too."""
_PLAIN = ("--no-ext-diff", "--no-textconv", "--no-color", "--no-renames")


class Moved(Exception):
    """Somebody moved the branch between our look and our push."""


@dataclass(frozen=True, kw_only=True)
class Heads:
    """What a remote has."""

    commits: Mapping[str, str]
    """By branch, without `refs/heads/`."""
    default: str | None

    def at(self, branch: str) -> str:
        """The commit of a branch; `ZERO`: it is not there."""
        return self.commits.get(branch, ZERO)


@dataclass(frozen=True, kw_only=True)
class Diff:
    """What changed, as `git diff` says it."""

    data: bytes
    """Whole lines, at most DIFF_BYTES_MAX."""
    is_whole: bool


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """One such repository, in `directory`."""

    directory: Path
    source: Remote
    """Where it is pushed to."""
    environment: Mapping[str, str]
    seconds_max: float

    async def take(self, bundle: Path) -> None:
        """Take the commits that a machine sent. :raises OnaError: they can't be read"""
        argv = ("-c", "fetch.fsckObjects=true", "fetch", "-q", "--no-auto-maintenance")
        try:
            await self._git(*argv, "--no-write-fetch-head", str(bundle), f"+HEAD:{HEAD}")
        except GitFailed as error:
            raise OnaError(
                _("the commits that the machine sent can't be read: {error}", error=_last(error)),
                kept=_(KEPT_IN_SESSION),
                do=_("ask me to look at the repository's state"),
            ) from error

    async def head(self) -> str:
        """The commit that was taken."""
        return (await self._git("rev-parse", "--verify", HEAD)).decode().strip()

    async def look(self) -> Heads:
        """What is at the remote now. :raises OnaError: it can't be reached, or not be read"""
        argv = ("ls-remote", "--symref", "--", self.source.address, "HEAD", f"{HEADS}*")
        try:
            said = await self._git(*argv, remotely=True, seconds_max=LOOK_SECONDS_MAX)
        except GitFailed as error:
            raise self._unreached(error) from error
        listing = listing_of(said.decode("utf-8", "surrogateescape"))
        branch = default_branch(listing)
        return Heads(
            commits={
                name.removeprefix(HEADS): commit
                for name, commit in listing.items()
                if name.startswith(HEADS)
            },
            default=branch.removeprefix(HEADS) if branch else None,
        )

    async def fetch(self, refs: Mapping[str, str]) -> None:
        """Bring commits of the remote here: branch → ref of ours. :raises OnaError:"""
        specs = [f"+{HEADS}{branch}:{ref}" for branch, ref in refs.items()]
        argv = ("fetch", "-q", "--no-tags", "--no-auto-maintenance", "--no-write-fetch-head")
        try:
            await self._git(*argv, "--", self.source.address, *specs, remotely=True)
        except GitFailed as error:
            raise self._unreached(error) from error

    async def push(self, branch: str, *, expected: str) -> None:
        """Move a branch from `expected` to the head that was taken.

        :param expected: `ZERO`: the branch must not be there
        :raises Moved: it is somewhere else by now
        :raises OnaError: the remote refuses, or can't be reached
        """
        ref = f"{HEADS}{branch}"
        lease = f"--force-with-lease={ref}:{'' if expected == ZERO else expected}"
        argv = ("push", "--no-verify", "--no-recurse-submodules", lease)
        try:
            await self._git(*argv, "--", self.source.address, f"{HEAD}:{ref}", remotely=True)
        except GitFailed as error:
            if "(stale info)" in str(error) or "(fetch first)" in str(error):
                raise Moved(branch) from error
            raise self._not_pushed(error, branch) from error

    async def leads_to(self, older: str, newer: str) -> bool:
        """Whether all of `older` is in `newer`."""
        try:
            await self._git("merge-base", "--is-ancestor", older, newer)
        except GitFailed:
            return False
        return True

    async def fork_point(self, one: str, other: str) -> str | None:
        """The newest commit that both come from; None: there is none."""
        try:
            return (await self._git("merge-base", one, other)).decode().strip()
        except GitFailed:
            return None

    async def count(self, *revisions: str) -> int:
        """How many commits these are, as `git rev-list` has them."""
        return int(await self._git("rev-list", "--count", *revisions))

    async def files(self, since: str, until: str) -> Sequence[ChangedFile]:
        """The files that differ. :raises GitFailed:"""
        return changed_files(await self._git("diff", "--numstat", "-z", *_PLAIN, since, until))

    async def change(self, since: str, head: str, *, fork: str, known: Collection[str]) -> Change:
        """All that has to be known of what is new.

        :param fork: where it left its base: what was merged from there since is not its own
        :param known: commits whose history the remote has: nothing of that is new
        :raises GitFailed:
        """
        files = await self._own_files(since, head, fork)
        # Of a merge it is what none of its sides had: what was put in while it was made.
        argv = ("log", "-p", "-U0", "--format=", "--remerge-diff", *_PLAIN, head)
        patches = await self._git(*argv, "--not", *known)
        found = await leaks_in(patches.decode("utf-8", "replace"))
        return Change(
            files=files,
            leaks=found.leaks,
            in_lfs=await self._in_lfs(head, [one.path for one in files]),
            is_whole=found.is_whole and len(patches) < STDOUT_BYTES_MAX,
        )

    async def _own_files(self, since: str, head: str, fork: str) -> Sequence[ChangedFile]:
        files = await self.files(since, head)
        if fork != since:
            own = {one.path for one in await self.files(fork, head)}
            files = [one for one in files if one.path in own]
        return files

    async def diff(self, since: str, head: str, *, fork: str) -> Diff | None:
        """What changed in files of its own; None: nothing did, or something looks like a secret.

        :param fork: as of `change`
        :raises GitFailed:
        """
        files = await self._own_files(since, head, fork)
        if not files:
            return None
        paths = [f":(top,literal){one.path}" for one in files[:DIFF_FILES_MAX]]
        bare = await self._git("diff", "-U0", *_PLAIN, since, head, "--", *paths)
        if (await leaks_in(bare.decode("utf-8", "replace"))).leaks:
            return None
        said = await self._git("diff", *_PLAIN, since, head, "--", *paths)
        data = (
            said
            if len(said) <= DIFF_BYTES_MAX
            else said[: said.rfind(b"\n", 0, DIFF_BYTES_MAX) + 1]
        )
        return Diff(data=data, is_whole=data == said and len(files) <= DIFF_FILES_MAX)

    async def submodules(self, since: str, head: str) -> Sequence[str]:
        """Paths of submodules that are at another commit. :raises GitFailed:"""
        said = await self._git("diff", "--raw", "-z", "--no-renames", since, head)
        fields = said.decode("utf-8", "replace").split("\0")
        pairs = zip(fields[::2], fields[1::2], strict=False)
        return sorted(path for record, path in pairs if record.split()[1:2] == ["160000"])

    async def conflicts(self, target: str, head: str) -> Sequence[str]:
        """Paths that can't be merged by themselves; empty: it would merge."""
        try:
            argv = ("merge-tree", "--write-tree", "--name-only", "--no-messages", "-z")
            await self._git(*argv, target, head)
        except GitFailed as error:
            names = error.output.decode("utf-8", "replace").split("\0")[1:]
            return sorted({name for name in names if name})
        return []

    async def text(self, commit: str, path: str) -> str:
        """A file of a commit; empty: there is none."""
        try:
            return (await self._git("show", f"{commit}:{path}")).decode("utf-8", "replace")
        except GitFailed:
            return ""

    async def _in_lfs(self, head: str, paths: Sequence[str]) -> Sequence[str]:
        """Which of these the repository keeps in Git LFS, by its attributes."""
        try:
            await self._git(
                "grep", "-q", "-F", "filter=lfs", head, "--", ":(glob)**/.gitattributes"
            )
        except GitFailed:
            return []
        index = {"GIT_INDEX_FILE": str(self.directory / "ona-index")}
        await self._git("read-tree", head, more=index)
        argv = ("check-attr", "--cached", "-z", "--stdin", "filter")
        names = "\0".join(paths).encode()
        said = await self._git(*argv, more=index, stdin=names)
        fields = said.decode("utf-8", "replace").split("\0")
        in_lfs = {
            path for path, value in zip(fields[::3], fields[2::3], strict=False) if value == "lfs"
        }
        listed = await self._git("ls-files", "-z", more=index)
        there = set(listed.decode("utf-8", "replace").split("\0"))
        return sorted(in_lfs & there)

    async def _git(
        self,
        *argv: str,
        remotely: bool = False,
        more: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        seconds_max: float | None = None,
    ) -> bytes:
        way = self.source.environment(self.directory / "ona-config") if remotely else {}
        return await git(
            *argv,
            git_dir=self.directory,
            limits=GitLimits(
                seconds_max=seconds_max or self.seconds_max, memory_bytes_max=MEMORY_BYTES_MAX
            ),
            more={**self.environment, **way, **(more or {})},
            stdin=stdin,
        )

    def _unreached(self, error: GitFailed) -> OnaError:
        said = self.source.without_secrets(_last(error)).rstrip(".")
        return TryAgain(
            _("{address} can't be reached: {reason}", address=self.source.address, reason=said),
            kept=_(KEPT_IN_SESSION),
            do=_("the next turn tries again"),
        )

    def _not_pushed(self, error: GitFailed, branch: str) -> OnaError:
        said = str(error)
        refused = _REFUSED.search(said)
        if refused is not None:
            words = " ".join(line.strip() for line in _SAID.findall(said) if line.strip())
            why = self.source.without_secrets(f"{refused['why']}. {words}".strip())[:600]
            return Refused(
                _("the code host refuses the branch {branch}: {why}", branch=branch, why=why),
                kept=_(KEPT_IN_SESSION),
                do=_("ask me to change what it objects to"),
            )
        if NOT_ALLOWED.search(said) and not isinstance(error, GitTimedOut):
            return Refused(
                _("{address} does not let us push", address=self.source.address),
                kept=_(KEPT_IN_SESSION),
                do=_("an operator can give the project credentials that may write"),
            )
        return self._unreached(error)


@asynccontextmanager
async def scratch(
    root: Path, mirror: Mirror, source: Remote, *, seconds_max: float
) -> AsyncIterator[Scratch]:
    """A repository below `root`, while inside."""
    directory = await asyncio.to_thread(_directory, root)
    made = directory / "repository.git"
    try:
        limits = GitLimits(seconds_max=LOOK_SECONDS_MAX)
        await git("init", "--quiet", "--bare", "--template=", git_dir=made, limits=limits)
        await asyncio.to_thread(_furnish, made, mirror, source)
        yield Scratch(
            directory=made,
            source=source,
            environment=mirror.environment,
            seconds_max=seconds_max,
        )
    finally:
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)


def _directory(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Path(tempfile.mkdtemp(dir=root, prefix="delivery-"))


def _furnish(made: Path, mirror: Mirror, source: Remote) -> None:
    (made / "objects" / "info").mkdir(exist_ok=True)
    (made / "objects" / "info" / "alternates").write_text(f"{mirror.directory}/objects\n")
    if (mirror.directory / "shallow").exists():
        shutil.copy(mirror.directory / "shallow", made / "shallow")
    (made / "ona-config").write_text(source.config(), encoding="utf-8")


def _last(error: GitFailed) -> str:
    """Git's own words in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith(("fatal:", "error:"))]
    return (fatal or lines or [_("git did not say why")])[-1][:300]
