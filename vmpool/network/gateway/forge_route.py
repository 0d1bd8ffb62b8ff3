"""The route to a forge: git over HTTP and reading its API, with the session's grants added here.

    …/info/refs?service=git-upload-pack, git-upload-pack     fetch: the grant that reads
    …/info/refs?service=git-receive-pack, git-receive-pack   push: the grant that writes, and only
                                                             to branches of the session's own
    api/…                                                    GET and HEAD: the grant that reads

All else is refused: what changes something on the forge beside branches, we do ourselves.
"""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from vmpool.network.forge.pushing import (
    Branches,
    Malformed,
    Push,
    PushReader,
    advertised,
    moved,
    refusals,
    refused,
)
from vmpool.network.gateway.http import BadRequest, Headers, has_body
from vmpool.network.gateway.ports import Identity, Refused
from vmpool.network.gateway.routes import Visit, forward

_GIT = re.compile(
    r"(?P<repository>[\w./-]+?)(?:\.git)?/"
    r"(?P<what>info/refs\?service=git-(?:upload|receive)-pack|git-upload-pack|git-receive-pack)",
    re.ASCII,
)
_LFS = re.compile(r".+/info/lfs(?:/|$)")
API = "api/"
REPORT_BYTES_MAX = 256 * 1024
"""Of what the forge says of a push, how much is read."""
ADVERTISED_BYTES_MAX = 4 << 20
"""Of the branches that a forge names, how much is read."""
DRAINED_BYTES_MAX = 64 << 20
"""Of a pack that is refused: git hears why only once it has sent it all."""
PROBE = b"0000"
"""What git asks before it sends much: whether it would be let in at all."""
RESULT = "application/x-git-receive-pack-result"


class Repositories(Protocol):
    """What sessions may do with repositories of one forge."""

    async def headers(self, who: Identity, repository: str, *, writes: bool) -> Mapping[str, str]:
        """What is added for git.

        :raises NoTurn: nobody works there now
        :raises Refused: it is none of the project's
        """

    async def api_headers(self, who: Identity) -> Mapping[str, str]:
        """What is added for reading the API. :raises NoTurn:."""

    async def branches(self, who: Identity, repository: str) -> Branches:
        """Which branches the session has there."""

    async def saw(self, who: Identity, repository: str, refs: Mapping[str, str]) -> None:
        """The session has seen these commits on branches of its own."""

    async def moved(self, who: Identity, repository: str, refs: Mapping[str, str]) -> None:
        """The session has moved branches of its own to these commits."""


@dataclass(frozen=True, kw_only=True)
class ForgeRoute:
    """One forge."""

    prefix: str
    """`/forge/<name>/`."""
    git_base: str
    """`https://github.com`."""
    api_base: str
    """`https://api.github.com`."""
    repositories: Repositories
    hosts: tuple[str, ...] = ()

    async def serve(self, visit: Visit) -> None:
        """See `Route`."""
        if visit.rest.startswith(API):
            await self._api(visit)
            return
        found = _GIT.fullmatch(visit.rest)
        if found is None or ".." in visit.rest:
            raise Refused(_why_not(visit.rest))
        repository, what = found["repository"].strip("/"), found["what"]
        if what == "git-receive-pack":
            await self._push(visit, repository)
            return
        writes = "receive-pack" in what
        added = await self.repositories.headers(visit.who, repository, writes=writes)
        refs = _Kept(ADVERTISED_BYTES_MAX)
        status = await forward(visit, self.git_base, visit.rest, added, watch=refs)
        if not writes and status == 200 and visit.who.session is not None:
            await self._seen(visit.who, repository, refs.data)

    async def _api(self, visit: Visit) -> None:
        method = visit.request.method.decode()
        if method not in {"GET", "HEAD"}:
            raise Refused(
                f"{method} is not passed on to the forge's API: it is only read from here."
                " Push a branch of this session, and ask ona for the rest."
            )
        if has_body(visit.request.headers):
            # Forges read parameters there, a token among them, whatever the method is.
            raise Refused("What only reads the forge's API has no body.")
        added = await self.repositories.api_headers(visit.who)
        await forward(visit, self.api_base, visit.rest.removeprefix(API), added)

    async def _seen(self, who: Identity, repository: str, said: bytes) -> None:
        branches = await self.repositories.branches(who, repository)
        refs = {
            ref: commit
            for ref, commit in advertised(said).items()
            if branches.seen(ref) not in {None, commit}
        }
        if refs:
            await self.repositories.saw(who, repository, refs)

    async def _push(self, visit: Visit, repository: str) -> None:
        """Let a push through, if all that it moves is the session's own.

        :raises BadRequest: it is no push that git would make
        """
        headers = dict(visit.request.headers)
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise BadRequest("A push is taken as it is, not compressed.", 415)
        added = await self.repositories.headers(visit.who, repository, writes=True)
        body = visit.side.body()
        head, push = await _head(body)
        if push is None:
            await forward(visit, self.git_base, visit.rest, added, content=head)
            return
        branches = await self.repositories.branches(visit.who, repository)
        why = refusals(push, branches)
        if why:
            visit.note_refused(" ".join(f"{ref}: {words}." for ref, words in why.items()))
            await _refuse(visit, body, push, why)
            return
        report = _Kept(REPORT_BYTES_MAX)
        await forward(
            visit, self.git_base, visit.rest, added, content=_again(head, body), watch=report
        )
        if done := moved(push, report.data):
            await self.repositories.moved(visit.who, repository, done)


class _Kept:
    """Keeps the beginning of an answer."""

    def __init__(self, bytes_max: int) -> None:
        self.data = b""
        self._bytes_max = bytes_max

    def begins(self, status: int, headers: Headers) -> None:
        """See `Watch`."""

    def passes(self, chunk: bytes) -> None:
        """See `Watch`."""
        if len(self.data) < self._bytes_max:
            self.data += chunk[: self._bytes_max - len(self.data)]


def _why_not(rest: str) -> str:
    if _LFS.match(rest.partition("?")[0]):
        return "Large files (git LFS) are not passed on from here; nothing was pushed."
    return f"{rest[:200]!r} is neither git nor the forge's API."


async def _head(body: AsyncIterator[bytes]) -> tuple[bytes, Push | None]:
    """What comes before the pack, and what that says; None: it only asks whether it may."""
    head, reader = bytearray(), PushReader()
    try:
        async for chunk in body:
            head += chunk
            if len(head) > len(PROBE) and (push := reader.read(head)) is not None:
                return bytes(head), push
    except Malformed as error:
        raise BadRequest(f"This is no push that git would make: {error}.") from error
    if head == PROBE:
        return PROBE, None
    raise BadRequest("The push ended before it said what it wants.")


async def _again(head: bytes, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for chunk in body:
        yield chunk


async def _refuse(
    visit: Visit, body: AsyncIterator[bytes], push: Push, why: Mapping[str, str]
) -> None:
    drained = 0
    async for chunk in body:
        drained += len(chunk)
        if drained > DRAINED_BYTES_MAX:
            raise Refused(" ".join(f"{ref}: {words}." for ref, words in why.items()))
    await visit.side.answer(200, refused(push, why), kind=RESULT)
