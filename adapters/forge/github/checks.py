"""The state of a running turn: a check run on the newest commit of its pull request.

    post ──▶ a run on the head ──▶ edit … edit ──▶ it ends
                                     │
                                     └─ the head has moved: a run there, and this one ends neutral

A check run belongs to one commit. What connects those of one turn is the reply's mark, which each
has as its `external_id`; it is never a failure, which would be one of the pull request.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from adapters.chat.own_words import Say
from adapters.chat.port import Content, Deadline, Gone, Live
from adapters.forge.github.app import App
from adapters.forge.github.kept import Kept
from adapters.forge.github.place import Place
from adapters.forge.port import NOT_SHOWN

CHECK = "check_run"
"""Kind of the ref of such a post; its key is the mark."""
NAME = "ona"
KEPT_SECONDS = 24 * 3600.0
TITLES = {Live.RUNNING: "Working", Live.DONE: "Done", Live.ENDED: "Ended"}
MOVED = "Moved on"
SEE_THERE = "The pull request has newer commits: see the check there."
STOP_IT = "Stop"
END_IT = "End what is running"
OF_CHECK = (*TITLES.values(), MOVED, SEE_THERE, STOP_IT, END_IT)
"""What we say in a check run ourselves."""
LABEL_LENGTH_MAX = 20
DESCRIPTION_LENGTH_MAX = 40
"""GitHub takes no more of a button."""
CONCLUSIONS = {Live.DONE: "success", Live.ENDED: "neutral"}
STOP = "stop"
"""What the button's identifier begins with; the pull request's number follows, because what GitHub
delivers when it is pressed doesn't name that of a fork."""
COMMITS_MAX = 10
"""Older commits that are looked through for a run which was left in progress."""


@dataclass(frozen=True)
class _Run:
    head: str
    id: int


class Checks:
    """The check runs of one app."""

    def __init__(self, app: App, say: Say) -> None:
        """`app` calls; `say` says `OF_CHECK` in a language."""
        self._app = app
        self._say = say
        self._runs: Kept[_Run] = Kept()

    async def create(self, to: Place, content: Content, mark: str, deadline: Deadline) -> str:
        """Show a state that is not shown yet; the ref of the post. :raises ChatError:"""
        head = await self._head(to, deadline)
        if head is None:
            return NOT_SHOWN
        self._keep(mark, await self._make(to, head, content, mark, deadline))
        return f"{CHECK}/{mark}"

    async def update(self, to: Place, mark: str, content: Content, deadline: Deadline) -> None:
        """Show the state as it is now, on the commit that is the head now. :raises ChatError:"""
        head = await self._head(to, deadline)
        if head is None:
            raise Gone("the pull request is not there any more")
        before = self._runs.get(mark)
        run = before
        if run is None or run.head != head:
            run = await self._run(to, head, mark, deadline)
            if run is None and before is None:
                before = await self._older(to, mark, deadline)
        if run is None:
            run = await self._make(to, head, content, mark, deadline)
        else:
            await self._patch(to, run, self._shown(to, content), deadline)
        if before is not None and before.id != run.id:
            await self._leave(to, before, content.language, deadline)
        self._keep(mark, run)

    async def find(self, to: Place, mark: str, deadline: Deadline) -> str | None:
        """The ref of the state with a mark, if it is shown anywhere. :raises ChatError:"""
        head = await self._head(to, deadline)
        if head is None:
            return None
        run = await self._run(to, head, mark, deadline) or await self._older(to, mark, deadline)
        return None if run is None else f"{CHECK}/{mark}"

    async def _head(self, to: Place, deadline: Deadline) -> str | None:
        """The newest commit; None: it is no pull request, or a part of one."""
        if to.root is not None:
            return None
        try:
            answer = await self._app.call(deadline, to.repository, "GET", f"/pulls/{to.number}")
        except Gone:
            return None
        return str(answer.data["head"]["sha"])

    async def _run(self, to: Place, head: str, mark: str, deadline: Deadline) -> _Run | None:
        us = await self._app.ourselves(deadline)
        path = f"/commits/{head}/check-runs"
        query = {"check_name": NAME, "app_id": us.id, "filter": "all"}
        entries = self._app.entries(deadline, to.repository, path, query=query, key="check_runs")
        async for run in entries:
            if run["external_id"] == mark:
                return _Run(head, int(run["id"]))
        return None

    async def _older(self, to: Place, mark: str, deadline: Deadline) -> _Run | None:
        """The run on a commit before, if that is still there."""
        path = f"/pulls/{to.number}/commits"
        commits = [one["sha"] async for one in self._app.entries(deadline, to.repository, path)]
        for sha in commits[-2 : -2 - COMMITS_MAX : -1]:
            found = await self._run(to, sha, mark, deadline)
            if found is not None:
                return found
        return None

    async def _make(
        self, to: Place, head: str, content: Content, mark: str, deadline: Deadline
    ) -> _Run:
        body = {"name": NAME, "head_sha": head, "external_id": mark}
        body |= self._shown(to, content)
        made = await self._app.call(deadline, to.repository, "POST", "/check-runs", body=body)
        return _Run(head, int(made.data["id"]))

    async def _leave(self, to: Place, run: _Run, language: str, deadline: Deadline) -> None:
        title, summary = (self._say(words, language) for words in (MOVED, SEE_THERE))
        body = {
            "status": "completed",
            "conclusion": "neutral",
            "actions": [],
            "output": {"title": title, "summary": summary},
        }
        with suppress(Gone):
            await self._patch(to, run, body, deadline)

    async def _patch(self, to: Place, run: _Run, body: dict[str, Any], deadline: Deadline) -> None:
        path = f"/check-runs/{run.id}"
        await self._app.call(deadline, to.repository, "PATCH", path, body=body)

    def _keep(self, mark: str, run: _Run) -> None:
        self._runs.put(mark, run, KEPT_SECONDS)

    def _shown(self, to: Place, content: Content) -> dict[str, Any]:
        live = content.live or Live.RUNNING
        title = self._say(TITLES[live], content.language)
        shown: dict[str, Any] = {"output": {"title": title, "summary": content.text or title}}
        url = next((button.url for button in content.buttons if button.url), "")
        if url:
            shown["details_url"] = url
        if live is Live.RUNNING:
            stop = {
                "label": self._say(STOP_IT, content.language)[:LABEL_LENGTH_MAX],
                "description": self._say(END_IT, content.language)[:DESCRIPTION_LENGTH_MAX],
                "identifier": _stop(to),
            }
            return {**shown, "status": "in_progress", "actions": [stop]}
        return {**shown, "status": "completed", "conclusion": CONCLUSIONS[live], "actions": []}


def _stop(to: Place) -> str:
    return f"{STOP}#{to.number}"
