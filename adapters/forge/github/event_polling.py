"""Finds out what happens in repositories of a GitHub by asking; for where no webhook comes.

    /activity            pushes: of branches, and so of the pull requests from them
    /issues/events       labels, and who merged, closed, made ready, or asked for a review
    /pulls               pull requests that changed: opened, merged, closed; then their reviews
    /commits/…           checks and statuses of what was pushed in the last day

Only what somebody wants is asked for. Where nothing is new GitHub answers 304, which costs nothing.
A push to a fork, which makes a pull request from it newer, is not seen from here.
"""

import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from adapters.chat.incoming import Hear
from adapters.chat.port import Deadline, Gone, Rejected
from adapters.forge.github import event_round, events
from adapters.forge.github.app import App
from adapters.forge.github.calls import PAGE, UNCHANGED, Answer
from adapters.forge.github.ci import FAILED
from adapters.forge.github.event_round import Push, Round
from adapters.forge.github.happening import Data, Event, EventReader, moment, of_pull
from adapters.forge.github.kept import Kept
from adapters.forge.github.place import web_address
from adapters.forge.happened import Window, answered_at, is_wanted
from adapters.forge.port import Cursors

OVERLAP = timedelta(seconds=60)
ASK_SECONDS = 20.0
PAGES_MAX = 10
"""Of one list in a round; what lies behind is older than what anybody waits for."""
COMMITS_MAX = 20
"""Pushed last, whose checks are asked for in a round, beside the default branch."""
SEEN_SECONDS = 3600.0
KINDS = ("pull_request", "push", "issue_labelled", "ci_failed")
_PARTS = ("id", "full_name", "default_branch", "html_url")
_AFTER = re.compile(r'[?&]after=([^&>]+)[^>]*>; rel="next"')


@dataclass(kw_only=True)
class _Looked:
    """What of a repository is known from round to round."""

    etags: dict[str, str] = field(default_factory=dict)
    """Of lists of which all was heard."""
    repository: Data = field(default_factory=dict)
    """What we need to know of it."""
    pushes: Sequence[Push] = ()
    """Of the last day, the newest first."""


class GitHubEvents:
    """Looks at one repository after the other, as `GitHubPolling` comes to it."""

    def __init__(self, app: App, reader: EventReader, cursors: Cursors) -> None:
        """`reader` knows what is wanted."""
        self._app = app
        self._reader = reader
        self._cursors = cursors
        self._host = web_address(app.api_url).partition("://")[2]
        self._looked: dict[str, _Looked] = {}
        self._seen: Kept[bool] = Kept()

    async def look(self, name: str, hear: Hear) -> None:
        """Hear what happened in a repository since the last look. :raises ChatError:"""
        wanted = await self._reader.wanted()
        kinds = [kind for kind in KINDS if is_wanted(wanted, name, kind)]
        if not kinds:
            self._looked.pop(name, None)
            return
        looked = self._looked.setdefault(name, _Looked())
        one = await self._begin(name, looked)
        found = await self._found(one, looked, kinds)
        for event in sorted(found, key=lambda event: event.at):
            await self._hear(one, event, hear)
        await self._cursors.put(self._cursor(one), one.window.until(one.now))
        looked.etags = one.etags

    def _cursor(self, one: Round) -> str:
        return f"github/{self._host}/{one.repository['id']}/events"

    async def _begin(self, name: str, looked: _Looked) -> Round:
        known = looked.etags.get("", "") if looked.repository else ""
        headers = {"If-None-Match": known} if known else {}
        answer = await self._app.call(_soon(), name, "GET", "", headers=headers)
        if answer.status != UNCHANGED:
            looked.repository = {part: answer.data.get(part) for part in _PARTS}
        now = answered_at(answer.headers.get("date"))
        one = Round(
            repository=looked.repository,
            now=now,
            window=Window(since=now, begun=now),
            etags={"": answer.headers.get("etag", "") or known},
        )
        one.window = Window.read(await self._cursors.get(self._cursor(one)), now, OVERLAP)
        return one

    async def _hear(self, one: Round, event: Event, hear: Hear) -> None:
        seen = f"{one.name}/{event.key}"
        if event.at < one.window.since or self._seen.get(seen):
            return
        found = await self._reader.read(event, f"poll/{event.key}"[:200])
        if found is not None:
            await hear(found)
        self._seen.put(seen, True, SEEN_SECONDS)

    async def _found(self, one: Round, looked: _Looked, kinds: Collection[str]) -> list[Event]:
        found: list[Event] = []
        if set(kinds) != {"issue_labelled"}:
            await self._pushes(one, looked)
        if {"pull_request", "issue_labelled"} & set(kinds):
            await self._told(one, looked)
        if "push" in kinds:
            found += event_round.pushes(one)
        if "issue_labelled" in kinds:
            found += event_round.labels(one)
        if "pull_request" in kinds:
            found += await self._pulls(one, looked)
        if "ci_failed" in kinds:
            found += await self._failures(one, looked)
        return found

    async def _pushes(self, one: Round, looked: _Looked) -> None:
        path, query = "/activity", {"time_period": "day", "per_page": PAGE}
        answer = await self._ask(one, looked, path, query)
        if answer.status == UNCHANGED:
            one.pushes = looked.pushes
            return
        entries, pages = list(answer.data), 1
        while (after := _AFTER.search(answer.headers.get("link", ""))) and pages < PAGES_MAX:
            answer = await self._app.call(
                _soon(), one.name, "GET", path, query={**query, "after": after[1]}
            )
            entries += answer.data
            pages += 1
        read = map(Push.read, entries)
        one.pushes = looked.pushes = [push for push in read if push is not None]
        one.is_new = True

    async def _told(self, one: Round, looked: _Looked) -> None:
        told: list[Data] = []
        async for page in self._newest_first(one, looked, "/issues/events", {}):
            fresh = [entry for entry in page if moment(entry["created_at"]) >= one.window.since]
            # Of an issue that was moved away or deleted, the event alone is left.
            told += [entry for entry in fresh if entry.get("issue")]
            one.is_new = True
            if len(fresh) < len(page):
                break
        one.told = told

    async def _pulls(self, one: Round, looked: _Looked) -> list[Event]:
        """What happened to the pull requests that changed.

        They are asked for anew where one of the other lists says more than the last time.
        """
        known = _Looked() if one.is_new else looked
        query = {"state": "all", "sort": "updated", "direction": "desc"}
        changed: dict[int, Data] = {}
        async for page in self._newest_first(one, known, "/pulls", query):
            fresh = [pull for pull in page if moment(pull["updated_at"]) >= one.window.since]
            changed |= {int(pull["number"]): pull for pull in fresh}
            if len(fresh) < len(page):
                break
        found: list[Event] = []
        for pull in changed.values():
            found += event_round.changes(one, pull)
            found += await self._approvals(one, pull)
        return found + await self._of_told(one, changed)

    async def _approvals(self, one: Round, pull: Data) -> list[Event]:
        path = f"/pulls/{pull['number']}/reviews"
        return [
            events.approved(one.repository, pull, review)
            async for review in self._app.entries(_soon(), one.name, path)
            if str(review["state"]).lower() == events.APPROVED
            and review["user"] is not None
            and moment(review["submitted_at"]) >= one.window.since
        ]

    async def _of_told(self, one: Round, changed: Mapping[int, Data]) -> list[Event]:
        """Who made pull requests ready, or asked for a review of them."""
        found: list[Event] = []
        for told in one.told:
            if told["event"] not in {"ready_for_review", "review_requested"}:
                continue
            number, at = int(told["issue"]["number"]), moment(told["created_at"])
            pull = changed.get(number) or await self._pull(one, number)
            if pull is None:
                continue
            head, user = one.head_at(pull, at), told["actor"]
            which: tuple[str, ...]
            if told["event"] == "ready_for_review":
                action, which, detail = "ready", (head,), ""
            else:
                detail = events.reviewer(told)
                action, which = "review_requested", (detail, head)
            found.append(
                of_pull(one.repository, pull, action, *which, user=user, at=at, detail=detail)
            )
        return found

    async def _pull(self, one: Round, number: int) -> Data | None:
        try:
            answer = await self._app.call(_soon(), one.name, "GET", f"/pulls/{number}")
        except Gone:
            return None
        found: Data = answer.data
        return found

    async def _failures(self, one: Round, looked: _Looked) -> list[Event]:
        default = str(one.repository["default_branch"])
        wanted = {default: default}
        for push in one.pushes:
            if len(wanted) <= COMMITS_MAX:
                wanted.setdefault(push.after, push.branch)
        found: list[Event] = []
        for ref, branch in wanted.items():
            try:
                found += await self._failures_at(one, looked, ref, branch)
            except (Gone, Rejected):
                # Nothing was pushed there yet, or it was pushed away.
                continue
        return found

    async def _failures_at(self, one: Round, looked: _Looked, ref: str, branch: str) -> list[Event]:
        at, query = f"/commits/{quote(ref, safe='')}", {"per_page": PAGE}
        found: list[Event] = []
        answer = await self._ask(one, looked, f"{at}/check-runs", query)
        if answer.status != UNCHANGED:
            found += [
                events.failed_run(one.repository, run, branch)
                for run in answer.data["check_runs"]
                if run["status"] == "completed" and run["conclusion"] in FAILED
            ]
        answer = await self._ask(one, looked, f"{at}/status", query)
        if answer.status != UNCHANGED:
            commit = str(answer.data["sha"])
            found += [
                events.failed_status(one.repository, commit, status, branch)
                for status in answer.data["statuses"]
                if status["state"] in events.BAD_STATES
            ]
        return found

    async def _newest_first(
        self, one: Round, looked: _Looked, path: str, query: Mapping[str, Any]
    ) -> AsyncIterator[Sequence[Data]]:
        """The pages of a list; none: it is as it was when all of it had been heard."""
        asked = {**query, "per_page": PAGE}
        answer = await self._ask(one, looked, path, asked)
        page = 1
        while answer.status != UNCHANGED:
            yield answer.data
            if not answer.has_next or page >= PAGES_MAX:
                return
            page += 1
            answer = await self._app.call(
                _soon(), one.name, "GET", path, query={**asked, "page": page}
            )

    async def _ask(
        self, one: Round, looked: _Looked, path: str, query: Mapping[str, Any]
    ) -> Answer:
        known = looked.etags.get(path, "")
        headers = {"If-None-Match": known} if known else {}
        answer = await self._app.call(_soon(), one.name, "GET", path, query=query, headers=headers)
        one.etags[path] = answer.headers.get("etag", "") or known
        return answer


def _soon() -> Deadline:
    return Deadline.after(ASK_SECONDS)
