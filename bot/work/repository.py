"""Repositories: a bare mirror per project on the host, and a clone of it in a machine.

The machine has no way to the remote of its own: what it gets is a bundle of the mirror's, over
its channel. Tags that the base contains come along; other branches do not.
"""

import asyncio
import re
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from uuid import UUID

import structlog

from bot.errors import NotFound, OnaError, TooLarge
from bot.words.catalogue import alternatives
from bot.words.catalogue import gettext as _
from bot.work.detect.tree import Tree
from bot.work.git import GitFailed, GitLimits, git_stream
from bot.work.guest import Machine, last_line
from bot.work.mirror import HEADS, Mirror, MirrorLimits
from bot.work.remote import KEPT, Logins, let_in, quoted, remote
from bot.work.tree import tree_of

log = structlog.get_logger(__name__)

CLONE_SECONDS_MAX = 1800.0
CLONED_MARK = "ona-cloned"
READY_MARK = "ona-ready"
"""Made in the repository by whoever filled it, when it may be worked in."""

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CLONE = f"""\
set -eu
directory=$1 branch=$2 commit=$3 config=$4 head=$5
new=$directory.ona-new
rm -rf -- "$new"
git init -q --template= -b "$branch" -- "$new"
cd -- "$new"
while IFS= read -r line && [ -n "$line" ]; do printf '%s\\n' "$line" >> .git/shallow; done
cat > .git/ona.bundle
printf '%s' "$config" >> .git/config
git fetch -q --no-auto-maintenance --no-write-fetch-head .git/ona.bundle \\
    '+refs/heads/*:refs/remotes/origin/*' '+refs/tags/*:refs/tags/*' '+refs/ona/*:refs/ona/*'
rm -f .git/ona.bundle
if [ -n "$head" ]; then
    printf 'ref: refs/remotes/origin/%s\\n' "$head" > .git/refs/remotes/origin/HEAD
fi
git reset -q --hard "$commit"
: > .git/{CLONED_MARK}
cd /
if [ -e "$directory/.git/{CLONED_MARK}" ] && ! [ -e "$directory/.git/{READY_MARK}" ]; then
    rm -rf -- "$directory"
elif [ -e "$directory" ] && ! rmdir -- "$directory" 2>/dev/null; then
    n=1
    while [ -e "$directory.aside-$n" ]; do n=$((n + 1)); done
    mv -- "$directory" "$directory.aside-$n"
    printf '%s' "$directory.aside-$n"
fi
mv -- "$new" "$directory"
"""


@dataclass(frozen=True, kw_only=True)
class Base:
    """What a session starts from."""

    commit: str
    """Empty: whatever the branch is at."""
    branch: str
    """Without `refs/heads/`; empty when the commit is on none."""


class Repositories:
    """The mirrors of this host, by project."""

    def __init__(
        self,
        directory: Path,
        limits: MirrorLimits | None = None,
        environment: Mapping[str, str] | None = None,
        logins: Logins | None = None,
    ) -> None:
        """`environment`: what the operator's git needs, such as a proxy or an SSH agent.

        :param logins: how the repositories of forges are read that we have an account on
        """
        self._logins = logins
        self._directory = directory
        self._limits = limits or MirrorLimits()
        self._environment = dict(environment or {})
        self.on_fetched: Callable[[UUID], None] = lambda _project: None
        """Told of each project whose mirror was brought up to date."""

    def mirror(self, project_id: UUID) -> Mirror:
        """The project's mirror, which may not be there yet."""
        return Mirror(
            directory=self._directory / f"{project_id}.git",
            limits=self._limits,
            environment=self._environment,
        )

    def mirrored(self) -> set[UUID]:
        """The projects that have a mirror here."""
        found = (path.name.removesuffix(".git") for path in self._directory.glob("*.git"))
        return {UUID(name) for name in found if _UUID.fullmatch(name)}

    async def update(self, project_id: UUID, url: str) -> None:
        """Fetch the project's repository into its mirror. Idempotent; others wait.

        :raises TellPerson: it isn't there, is empty, too large, not to be read or not to be reached
        """
        await self.mirror(project_id).update(await let_in(remote(url), self._logins))
        self.on_fetched(project_id)

    async def base(self, project_id: UUID, branch: str | None) -> Base:
        """What a new session starts from; without a branch the remote's default one.

        :raises NotFound: no such branch
        """
        mirror = self.mirror(project_id)
        if branch is not None:
            commit = await self._commit(mirror, HEADS + branch)
            if commit is None:
                raise await self._unknown(mirror, branch)
            return Base(commit=commit, branch=branch)
        head = (mirror.directory / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return Base(commit=head, branch="")
        name = head.removeprefix("ref: ")
        commit = await self._commit(mirror, name)
        if commit is None:
            raise NotFound(
                _("the repository doesn't say which of its branches is the default one"),
                kept=_(KEPT),
                do=_("name a branch in the project or with `branch=`"),
            )
        return Base(commit=commit, branch=name.removeprefix(HEADS))

    async def has(self, project_id: UUID, commit: str) -> bool:
        """Whether a clone at this commit needs no update before."""
        mirror = self.mirror(project_id)
        if not commit or mirror.is_damaged:
            return False
        try:
            await mirror.run("cat-file", "-e", f"{commit}^{{commit}}")
        except GitFailed:
            return False
        return True

    async def tree(self, project_id: UUID, commit: str) -> Tree:
        """What lies in a commit near its root. :raises GitFailed: the mirror doesn't have it"""
        return await tree_of(self.mirror(project_id), commit)

    async def keep(self, project_id: UUID, commit: str) -> None:
        """Keep a commit though the remote may forget it. Idempotent.

        :raises NotFound: the mirror doesn't have it
        """
        try:
            await self.mirror(project_id).run("update-ref", f"refs/ona/keep/{commit}", commit)
        except GitFailed:
            raise _forgotten(commit) from None

    async def bundle(
        self, project_id: UUID, base: Base, *, since: str | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The history of a base as git's bundle format has it: refs/ona/base, branch, tags.

        :param since: a commit that the reader has with all that it leads to
        :raises NotFound: the mirror doesn't have a commit
        """
        mirror = self.mirror(project_id)
        try:
            merged = f"--merged={base.commit}"
            form = "--format=%(objectname) %(refname)"
            tags = (await mirror.run("for-each-ref", merged, form, "refs/tags")).decode(
                "utf-8", "surrogateescape"
            )
        except GitFailed:
            raise _forgotten(base.commit) from None
        refs = [f"{base.commit} refs/ona/base"]
        if base.branch:
            refs.append(f"{base.commit} {HEADS}{base.branch}")
        known = [f"-{since} since"] if since else []
        head = "\n".join(["# v2 git bundle", *known, *refs, *tags.splitlines(), "", ""])
        yield head.encode("utf-8", "surrogateescape")
        oids = {line.split(" ", 1)[0] for line in [*refs, *tags.splitlines()]}
        oids |= {f"^{since}"} if since else set()
        try:
            packing = git_stream(
                *("pack-objects", "--revs", "--stdout", "--delta-base-offset", "-q"),
                git_dir=mirror.directory,
                limits=GitLimits(seconds_max=CLONE_SECONDS_MAX),
                stdin="\n".join([*oids, ""]).encode(),
            )
            async with aclosing(packing):
                async for data in packing:
                    yield data
        except GitFailed:
            mirror.damaged()
            raise

    async def shallow(self, project_id: UUID) -> list[str]:
        """The commits whose parents the remote itself doesn't have."""
        path = self.mirror(project_id).directory / "shallow"
        return path.read_text().split() if path.exists() else []

    async def sweep(self, projects: Callable[[], Awaitable[Collection[UUID]]]) -> list[str]:
        """Remove what is there of projects that are gone; returns the names of the files.

        :param projects: all there are; asked after the files were listed, so that the mirror of a
            project which is just being added is not taken for a left-over
        """
        found = await asyncio.to_thread(lambda: sorted(self._directory.glob("*")))
        known = {str(project) for project in await projects()}
        gone = [path for path in found if path.name.partition(".")[0] not in known]
        return await asyncio.to_thread(_remove, gone)

    async def _commit(self, mirror: Mirror, name: str) -> str | None:
        try:
            said = await mirror.run("show-ref", "--verify", "--hash", "--", name)
        except GitFailed:
            return None
        return said.decode().strip()

    async def _unknown(self, mirror: Mirror, branch: str) -> NotFound:
        said = await mirror.run("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads")
        near = get_close_matches(
            branch, said.decode("utf-8", "replace").splitlines(), n=3, cutoff=0.4
        )
        hint = (
            _("did you mean {names}?", names=alternatives(near))
            if near
            else _("see the repository's branches")
        )
        happened = _("the repository has no branch “{branch}”", branch=branch)
        return NotFound(happened, kept=_(KEPT), do=hint)


@dataclass(frozen=True, kw_only=True)
class Cloned:
    """A clone that was put into a machine."""

    base: Base
    aside: str | None
    """Where files went that were in its place."""


async def clone_into(
    machine: Machine,
    repositories: Repositories,
    project_id: UUID,
    base: Base,
    *,
    branch: str,
    directory: str,
    origin_url: str,
) -> Cloned:
    """Put the repository into the machine, on a new branch at the base.

    May be repeated: a clone that nobody worked in is replaced, anything else moved aside. Either
    the whole clone is in place afterwards or nothing is changed.

    :raises TellPerson: the base is gone, or the machine's disk too small
    :raises OnaError: what else the machine's git complained about
    """
    if not base.commit:
        base = await repositories.base(project_id, base.branch or None)
    await repositories.keep(project_id, base.commit)
    words = [directory, branch, base.commit, _config(origin_url), base.branch]
    source = _Input(repositories, project_id, base)
    async with aclosing(source.chunks()) as chunks:
        done = await machine.run(
            ["/bin/sh", "-c", _CLONE, "clone", *words],
            stdin=chunks,
            timeout_seconds=CLONE_SECONDS_MAX,
        )
    if source.failed is not None:
        log.error("mirror_damaged", project=str(project_id), error=str(source.failed)[:300])
        raise OnaError(
            _("this host's copy of the repository is damaged"),
            kept=_(KEPT),
            do=_("`retry` fetches it anew"),
        ) from source.failed
    if done.exit_status != 0:
        raise _not_cloned(done.stderr)
    return Cloned(base=base, aside=done.stdout.decode("utf-8", "replace") or None)


class _Input:
    """What the script in the machine reads; it ends early when the mirror can't be read."""

    def __init__(self, repositories: Repositories, project_id: UUID, base: Base) -> None:
        self._repositories = repositories
        self._project_id = project_id
        self._base = base
        self.failed: GitFailed | None = None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        shallow = await self._repositories.shallow(self._project_id)
        yield "".join(f"{line}\n" for line in [*shallow, ""]).encode()
        try:
            async with aclosing(self._repositories.bundle(self._project_id, self._base)) as bundle:
                async for data in bundle:
                    yield data
        except GitFailed as error:
            self.failed = error


def _remove(paths: Iterable[Path]) -> list[str]:
    removed = []
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        removed.append(path.name)
    return removed


def _config(url: str) -> str:
    address = quoted(remote(url).address)
    fetch = quoted("+refs/heads/*:refs/remotes/origin/*")
    return f'[remote "origin"]\n\turl = {address}\n\tfetch = {fetch}\n'


def _forgotten(commit: str) -> NotFound:
    return NotFound(
        _(
            "the commit {commit} that this session started from isn't in the repository any more",
            commit=commit[:12],
        ),
        kept=_("the session's checkpoint"),
        do=_("push that commit again, or start a new session"),
    )


def _not_cloned(stderr: bytes) -> OnaError:
    if b"No space left" in stderr:
        return TooLarge(
            _("the repository doesn't fit on the machine's disk"),
            kept=_(KEPT),
            do=_("give the project a larger disk"),
        )
    said = last_line(stderr)
    return OnaError(
        _("the repository could not be put into the machine: {error}", error=said),
        kept=_(KEPT),
        do=_("`retry` tries again"),
    )


__all__ = ["Base", "Cloned", "MirrorLimits", "Repositories", "clone_into"]
