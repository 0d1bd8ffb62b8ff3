"""The state of a running turn: a commit status named `ona` on the head of its merge request.

    RUNNING ─▶ running      DONE, ENDED ─▶ success, with how it ended as its description

A turn that ended badly says nothing about the code, so that it must neither fail nor hold up the
pipeline that the status is a part of: `failed` and `canceled` would, and GitLab allows `skipped`
only before something runs. GitLab doesn't let a running status be reworded either, and ending it
to begin another would merge what is set to be merged after its pipeline: the description of a
running one is that of its beginning.

On a new head the status begins again, and the one on the old head is ended. Nothing is shown in a
discussion, on an issue, where the conversation is internal, and on a merge request from a fork,
whose pipelines are not ours to touch.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from adapters.chat.port import Content, Deadline, Live, Rejected
from adapters.forge.gitlab.bodies import plain
from adapters.forge.gitlab.client import Client
from adapters.forge.gitlab.places import Place, project_path
from adapters.forge.port import NOT_SHOWN

NAME = "ona"
DESCRIPTION_LENGTH_MAX = 255
URL_LENGTH_MAX = 255
STATES = {Live.RUNNING: "running", Live.DONE: "success", Live.ENDED: "success"}
REMEMBERED_MAX = 1_000
_REF = "status/"


@dataclass(frozen=True)
class _Head:
    """Newest commit of a merge request, and its branch."""

    sha: str
    branch: str


class Statuses:
    """Sets the states of turns."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._running: OrderedDict[str, str] = OrderedDict()
        """By place: the commit on which it runs, as far as this process knows."""

    async def show(self, to: Place, content: Content, ref: str, deadline: Deadline) -> str:
        """Let the head have this state; returns its ref. Idempotent.

        :param ref: what an earlier call returned, or empty
        """
        if to.kind == "issues" or to.discussion or to.internal or ref == NOT_SHOWN:
            return NOT_SHOWN
        head = await self._head(to, deadline)
        if head is None:
            return NOT_SHOWN
        before = self._running.get(str(to)) or ref.removeprefix(_REF)
        if before and before != head.sha:
            moved = Content(text=f"Goes on at {head.sha[:8]}.", live=Live.DONE)
            await self._set(to, _Head(before, head.branch), moved, deadline)
        if content.live is not Live.RUNNING or before != head.sha:
            await self._set(to, head, content, deadline)
        self._remember(str(to), head.sha if content.live is Live.RUNNING else None)
        return f"{_REF}{head.sha}"

    async def _head(self, to: Place, deadline: Deadline) -> _Head | None:
        request: Any = (await self._client.get(to.path, deadline)).data
        is_fork = request["source_project_id"] != request["target_project_id"]
        if is_fork or not request["sha"]:
            return None
        return _Head(request["sha"], request["source_branch"])

    async def _set(self, to: Place, head: _Head, content: Content, deadline: Deadline) -> None:
        state = STATES[content.live or Live.DONE]
        url = next((one.url for one in content.buttons if one.url), "")
        wanted = {"state": state, "name": NAME, "ref": head.branch}
        wanted["description"] = plain(content.text, DESCRIPTION_LENGTH_MAX)
        if 0 < len(url) <= URL_LENGTH_MAX:
            wanted["target_url"] = url
        path = f"{project_path(to.project)}/statuses/{head.sha}"
        try:
            await self._client.post(path, deadline, **wanted)
        except Rejected:
            # An earlier try of ours began it: GitLab refuses to begin it once more.
            if state != "running" or not await self._runs(to, head, deadline):
                raise

    async def _runs(self, to: Place, head: _Head, deadline: Deadline) -> bool:
        path = f"{project_path(to.project)}/repository/commits/{head.sha}/statuses"
        asked = {"name": NAME, "ref": head.branch}
        answer = await self._client.get(path, deadline, **asked)
        return any(one["status"] == "running" for one in answer.data)

    def _remember(self, place: str, sha: str | None) -> None:
        self._running.pop(place, None)
        if sha is not None:
            self._running[place] = sha
            if len(self._running) > REMEMBERED_MAX:
                self._running.popitem(last=False)
