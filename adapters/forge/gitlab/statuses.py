"""The state of a running turn: a commit status named `ona` on the head of its merge request.

    RUNNING ─▶ running      DONE, ENDED ─▶ success, with how it ended as its description

A turn that ended badly says nothing about the code, so that it must neither fail nor hold up the
pipeline that the status is a part of: `failed` and `canceled` would, and GitLab allows `skipped`
only before something runs. GitLab doesn't let a running status be reworded either, and ending it
to begin another would merge what is set to be merged after its pipeline: the description of a
running one is that of its beginning.

There is one status of that name on a commit, and the turns of a merge request follow each other:
whose it is stands in the fragment of its link. A turn that begins ends what the one before left
running, whose own end then changes nothing any more. On a new head a status begins again, and the
one on the old head is ended.

Nothing is shown in a discussion, on an issue, where the conversation is internal, and on a merge
request from a fork, whose pipelines are not ours to touch.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urldefrag

from adapters.chat.own_words import Say
from adapters.chat.port import Content, Deadline, Gone, Live
from adapters.forge.gitlab.bodies import plain
from adapters.forge.gitlab.client import Client
from adapters.forge.gitlab.places import Place, project_path
from adapters.forge.port import NOT_SHOWN

NAME = "ona"
OVER = "Over."
GOES_ON = "Goes on at {commit}."
OF_STATUS = (OVER, GOES_ON)
"""What we say in a status ourselves."""
DESCRIPTION_LENGTH_MAX = 255
URL_LENGTH_MAX = 255
HEADS_MAX = 10
"""Newest pushes whose statuses are looked at when the head has moved."""
_FRAGMENT = "ona-"


@dataclass(frozen=True, kw_only=True)
class _Ref:
    """What a state of a turn is called: where it was first shown, and whose it is."""

    sha: str
    mark: str

    @classmethod
    def read(cls, ref: str) -> "_Ref | None":
        kind, _, rest = ref.partition("/")
        sha, _, mark = rest.partition("/")
        return cls(sha=sha, mark=mark) if kind == "status" and mark else None

    def __str__(self) -> str:
        return f"status/{self.sha}/{self.mark}"


@dataclass(frozen=True, kw_only=True)
class _Head:
    """A commit that is or was the newest of a merge request."""

    project: str
    sha: str
    branch: str
    url: str
    """Of the merge request."""


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """The status that stands on a commit."""

    is_running: bool
    mark: str
    """Whose it is; empty: that can't be told, and nobody else's then."""


class Statuses:
    """Sets the states of turns. Errors are those of `ChatPort`; everything is idempotent."""

    def __init__(self, client: Client, say: Say) -> None:
        """`say` says `OF_STATUS` in a language."""
        self._client = client
        self._say = say

    async def begin(self, to: Place, content: Content, mark: str, deadline: Deadline) -> str:
        """Show the first state of the turn with this mark; its ref."""
        head = await self._head(to, deadline)
        if head is None:
            return NOT_SHOWN
        shown = await self._shown(head, deadline)
        if shown is not None and shown.mark != mark:
            if shown.is_running:
                over = Content(text=self._say(OVER, content.language))
                await self._set(head, "success", "", over, deadline)
            shown = None
        await self._follow(head, shown, content, mark, deadline)
        return str(_Ref(sha=head.sha, mark=mark))

    async def change(self, to: Place, ref: str, content: Content, deadline: Deadline) -> None:
        """Show another state of a turn, unless another turn has begun since."""
        head, known = await self._head(to, deadline), _Ref.read(ref)
        if head is None or known is None:
            return
        if known.sha != head.sha:
            await self._leave(to, known, head, content.language, deadline)
        shown = await self._shown(head, deadline)
        await self._follow(head, shown, content, known.mark, deadline)

    async def _leave(
        self, to: Place, known: _Ref, head: _Head, language: str, deadline: Deadline
    ) -> None:
        """End what still runs on the heads before: the first, and those pushed since."""
        moved = Content(text=self._say(GOES_ON, language).replace("{commit}", head.sha[:8]))
        pushes = (await self._client.get(f"{to.path}/versions", deadline, per_page=HEADS_MAX)).data
        heads = dict.fromkeys([known.sha, *(str(one["head_commit_sha"]) for one in pushes)])
        for sha in heads:
            # One that was pushed away by force may be gone, with all that stood there.
            with suppress(Gone):
                old = replace(head, sha=sha)
                shown = None if sha == head.sha else await self._shown(old, deadline)
                if shown is not None and shown.is_running and shown.mark in {"", known.mark}:
                    await self._set(old, "success", "", moved, deadline)

    async def _follow(
        self, head: _Head, shown: _Shown | None, content: Content, mark: str, deadline: Deadline
    ) -> None:
        """Set the turn's state after what is shown, where that changes anything."""
        is_others = shown is not None and shown.mark not in {"", mark}
        if content.live is not Live.RUNNING:
            if not is_others:
                await self._set(head, "success", mark, content, deadline)
        elif shown is None or not shown.is_running:
            await self._set(head, "running", mark, content, deadline)

    async def _head(self, to: Place, deadline: Deadline) -> _Head | None:
        """None: no state has a place there."""
        if to.kind == "issues" or to.discussion or to.internal:
            return None
        request: Any = (await self._client.get(to.path, deadline)).data
        is_fork = request["source_project_id"] != request["target_project_id"]
        if is_fork or not request["sha"]:
            return None
        return _Head(
            project=project_path(to.project),
            sha=request["sha"],
            branch=request["source_branch"],
            url=request["web_url"],
        )

    async def _shown(self, head: _Head, deadline: Deadline) -> _Shown | None:
        us = await self._client.ourselves(deadline)
        path = f"{head.project}/repository/commits/{head.sha}/statuses"
        found = (await self._client.get(path, deadline, name=NAME, ref=head.branch)).data
        ours = [one for one in found if (one.get("author") or {}).get("id") == us.id]
        if not ours:
            return None
        newest = max(ours, key=lambda one: int(one["id"]))
        fragment = urldefrag(newest.get("target_url") or "").fragment
        is_marked = fragment.startswith(_FRAGMENT)
        return _Shown(
            is_running=newest["status"] in {"created", "pending", "running"},
            mark=fragment.removeprefix(_FRAGMENT) if is_marked else "",
        )

    async def _set(
        self, head: _Head, state: str, mark: str, content: Content, deadline: Deadline
    ) -> None:
        wanted = {"state": state, "name": NAME, "ref": head.branch}
        wanted["description"] = plain(content.text, DESCRIPTION_LENGTH_MAX)
        pages = [one.url for one in content.buttons if one.url]
        for url in (*pages, head.url) if mark else ():
            marked = f"{urldefrag(url).url}#{_FRAGMENT}{mark}"
            if len(marked) <= URL_LENGTH_MAX:
                wanted["target_url"] = marked
                break
        await self._client.post(f"{head.project}/statuses/{head.sha}", deadline, **wanted)
