"""Listens to a GitHub that can't reach us: asks its repositories again and again for what is new.

    comments      everything that changed since the cursor, oldest first   ┐ heard, then
    inline        the same                                                 │ the cursor
    reviews       of the pull requests that changed since the cursor       ┘ moves

Requests are conditional: where nothing is new, GitHub answers 304, which costs nothing of the
budget. Cursors are times of GitHub's own clock, and what lies OVERLAP_SECONDS before them is read
again, because an entry may be seen only after one that is younger.

A poll can't see that something was deleted, and that a review was edited; see `rereading`.
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from adapters.chat.incoming import Hear
from adapters.chat.port import ChatError, Deadline, Gone, Throttled
from adapters.forge.github.app import App
from adapters.forge.github.calls import PAGE, UNCHANGED, Answer
from adapters.forge.github.event_polling import GitHubEvents
from adapters.forge.github.kept import Kept
from adapters.forge.github.place import (
    ISSUE_COMMENT,
    REVIEW,
    REVIEW_COMMENT,
    Place,
    stamp_of,
    web_address,
)
from adapters.forge.github.reading import Reader, branch_of, comment_of
from adapters.forge.happened import answered_at
from adapters.forge.polled import CATCH_UP_SECONDS, POLL_SECONDS, condition
from adapters.forge.port import BRANCHES, Cursors, Repositories
from adapters.forge.rereading import LOOK_SECONDS
from adapters.listening import Condition, Hears, Tell, nobody, pause

log = structlog.get_logger(__name__)

OVERLAP_SECONDS = 60.0
ASK_SECONDS = 20.0
AT_ONCE_MAX = 4
NAME_SECONDS = 3600.0
"""For which a repository is taken to have the name that it has."""
GONE_SECONDS = 600.0
"""For which a repository that we don't see is left alone."""
SEEN_SECONDS = 3600.0

_LISTS = {ISSUE_COMMENT: "/issues/comments", REVIEW_COMMENT: "/pulls/comments"}
KINDS = (*_LISTS, REVIEW)
_NUMBERED_BY = {ISSUE_COMMENT: "issue_url", REVIEW_COMMENT: "pull_request_url"}

HEARS = Hears(
    ways=(f"asking every {POLL_SECONDS:g} s", "webhooks"),
    follow_ups=False,
    deletions=f"by webhook, else of what waits, within {LOOK_SECONDS:g} s",
    missed=f"asked for, within {CATCH_UP_SECONDS:g} s",
)


@dataclass(kw_only=True)
class _Followed:
    """A repository, as we follow it."""

    id: int
    """Stays when it is renamed."""
    name: str
    """As GitHub writes it today."""
    read_to: dict[str, str]
    """By kind: the newest time of an entry that was heard."""
    etags: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By path: from when on its list was read, and what it was like when all had been heard."""

    def since(self, kind: str) -> str:
        """From when on the entries of a kind are read."""
        newest = datetime.fromisoformat(self.read_to[kind])
        return stamp_of(newest - timedelta(seconds=OVERLAP_SECONDS))


class GitHubPolling:
    """Follows the repositories that we have projects of."""

    def __init__(
        self,
        app: App,
        reader: Reader,
        cursors: Cursors,
        repositories: Repositories,
        *,
        every_seconds: float = POLL_SECONDS,
        tell: Tell = nobody,
        happens: GitHubEvents | None = None,
    ) -> None:
        """One of these at a time in an installation is enough; more do no harm.

        :param happens: looks at what is done in them; None: nobody wants to hear of that
        """
        self._happens = happens
        self._tell = tell
        self._trouble: dict[str, str] = {}
        """Why a repository could not be asked, by its name."""
        self._app = app
        self._reader = reader
        self._cursors = cursors
        self._repositories = repositories
        self._every_seconds = every_seconds
        self._host = web_address(app.api_url).partition("://")[2]
        self._followed: Kept[_Followed] = Kept()
        self._resting: Kept[bool] = Kept()
        self._seen: Kept[bool] = Kept()

    async def run(self, hear: Hear, stop: asyncio.Event) -> None:
        """Poll until `stop`; what fails is tried again with the next look."""
        while not stop.is_set():
            try:
                await self.poll(hear)
            except Exception as error:
                log.exception("github_not_polled")
                self._tell(Condition.FAILING, f"nothing could be asked: {type(error).__name__}")
            await pause(stop, self._every_seconds)

    async def poll(self, hear: Hear) -> None:
        """Ask each repository once; what goes wrong in one holds up no other."""
        at_once = asyncio.Semaphore(AT_ONCE_MAX)

        async def one(name: str) -> None:
            async with at_once:
                await self._poll_one(name, hear)

        names = dict.fromkeys(await self._repositories())
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(one(name))
        self._trouble = {name: why for name, why in self._trouble.items() if name in names}
        self._tell(*(condition(names, self._trouble) if names else await self._without_any()))

    async def _without_any(self) -> tuple[Condition, str]:
        """Whether we could listen, where there is no repository to be asked."""
        try:
            await self._app.as_app(Deadline.after(ASK_SECONDS), "GET", "/app")
        except ChatError as error:
            return Condition.FAILING, str(error)
        return Condition.LISTENING, ""

    async def _poll_one(self, name: str, hear: Hear) -> None:
        owner = name.partition("/")[0].casefold()
        if self._resting.get(owner) or self._resting.get(name):
            return
        try:
            followed = await self._follow(name)
            for kind in _LISTS:
                await self._comments(followed, kind, hear)
            await self._reviews(followed, hear)
            if self._happens is not None:
                await self._happens.look(name, hear)
            self._trouble.pop(name, None)
        except Throttled as throttled:
            self._trouble[name] = str(throttled)
            log.info("github_poll_throttled", owner=owner, seconds=throttled.retry_seconds)
            self._resting.put(owner, True, throttled.retry_seconds)
        except Gone as gone:
            self._trouble[name] = f"we don't see it: {gone}"
            log.warning("github_repository_not_seen", repository=name, why=str(gone))
            self._resting.put(name, True, GONE_SECONDS)
        except ChatError as error:
            self._trouble[name] = str(error)
            log.warning("github_poll_failed", repository=name, why=str(error))
        except Exception as error:
            self._trouble[name] = f"it could not be read: {type(error).__name__}"
            log.exception("github_poll_failed", repository=name)

    async def _follow(self, name: str) -> _Followed:
        """A repository with its cursor; one that was never followed begins at now."""
        known = self._followed.get(name)
        if known is not None:
            return known
        answer = await self._app.call(Deadline.after(ASK_SECONDS), name, "GET", "")
        followed = _Followed(
            id=int(answer.data["id"]), name=str(answer.data["full_name"]), read_to={}
        )
        read_to = _read_cursor(await self._cursors.get(self._cursor(followed)))
        if read_to is None:
            begin = answered_at(answer.headers.get("date"))
            ahead = stamp_of(begin + timedelta(seconds=OVERLAP_SECONDS))
            followed.read_to = dict.fromkeys(KINDS, ahead)
            await self._keep(followed)
        else:
            followed.read_to = read_to
        self._followed.put(name, followed, NAME_SECONDS)
        return followed

    async def _comments(self, followed: _Followed, kind: str, hear: Hear) -> None:
        """Hear the comments of a kind, page by page.

        A page is named by the time that the one before ended at, not by its number: what is edited
        meanwhile goes to the end of the list, and what comes after it moves up.
        """
        since, page, path = followed.since(kind), 1, _LISTS[kind]
        sorted_ = {"sort": "updated", "direction": "asc", "per_page": PAGE}
        while True:
            query = {**sorted_, "since": since, "page": page}
            answer = await self._ask(followed, path, query)
            if answer.status == UNCHANGED:
                return
            newest = since
            for entry in answer.data:
                number = entry[_NUMBERED_BY[kind]].rpartition("/")[2]
                place, when = Place(followed.name, int(number)), entry["updated_at"]
                await self._entry(hear, kind, place, entry, when)
                newest = max(newest, when)
            await self._read_to(followed, kind, newest)
            if not answer.has_next:
                _remember(followed, path, query, answer)
                return
            since, page = (newest, 1) if newest > since else (since, page + 1)

    async def _reviews(self, followed: _Followed, hear: Hear) -> None:
        since, newest, page = followed.since(REVIEW), "", 1
        newest_first = {"state": "all", "sort": "updated", "direction": "desc", "per_page": PAGE}
        query = {**newest_first, "page": page}
        first = answer = await self._ask(followed, "/pulls", query)
        while answer.status != UNCHANGED:
            changed = [pull for pull in answer.data if pull["updated_at"] >= since]
            for pull in changed:
                newest = max(newest, pull["updated_at"])
                await self._reviews_of(followed, pull, since, hear)
            if len(changed) < len(answer.data) or not answer.has_next:
                await self._read_to(followed, REVIEW, newest)
                _remember(followed, "/pulls", query, first)
                return
            page += 1
            answer = await self._ask(followed, "/pulls", {**newest_first, "page": page})

    async def _reviews_of(
        self, followed: _Followed, pull: Mapping[str, Any], since: str, hear: Hear
    ) -> None:
        place, branch = Place(followed.name, int(pull["number"])), branch_of(pull)
        path = f"/pulls/{place.number}/reviews"
        entries = self._app.entries(Deadline.after(ASK_SECONDS), followed.name, path)
        async for entry in entries:
            when = entry.get("submitted_at") or ""
            if when >= since and (entry["body"] or branch.startswith(BRANCHES)):
                await self._entry(hear, REVIEW, place, entry, when, branch=branch)

    async def _entry(
        self,
        hear: Hear,
        kind: str,
        place: Place,
        entry: Mapping[str, Any],
        when: str,
        *,
        branch: str = "",
    ) -> None:
        edited = when != entry.get("created_at", when) and kind != REVIEW
        about = {"branch": branch, "state": str(entry.get("state") or "")}
        try:
            comment = comment_of(kind, place, entry, edited=edited, **about)
        except (KeyError, TypeError, ValueError):
            log.exception("github_comment_unreadable", place=str(place), id=entry.get("id"))
            return
        if comment is None:
            return
        # Times are whole seconds: an edit may have that of what was seen already.
        if self._seen.get(comment.key) and kind != REVIEW:
            comment = replace(comment, edited=True)
        said = hashlib.sha256(str(entry.get("body")).encode()).hexdigest()[:16]
        state = f"{comment.key}/{when}/{said}"
        if self._seen.get(state):
            return
        for heard in await self._reader.comment(comment, f"poll/{state}"):
            await hear(heard)
        self._seen.put(comment.key, True, SEEN_SECONDS)
        self._seen.put(state, True, SEEN_SECONDS)

    async def _ask(self, followed: _Followed, path: str, query: Mapping[str, Any]) -> Answer:
        since, etag = followed.etags.get(path, ("", ""))
        headers = {}
        if etag and query["page"] == 1 and since == query.get("since", ""):
            headers["If-None-Match"] = etag
        deadline = Deadline.after(ASK_SECONDS)
        return await self._app.call(
            deadline, followed.name, "GET", path, query=query, headers=headers
        )

    async def _read_to(self, followed: _Followed, kind: str, newest: str) -> None:
        if newest > followed.read_to[kind]:
            followed.read_to[kind] = newest
            await self._keep(followed)

    async def _keep(self, followed: _Followed) -> None:
        await self._cursors.put(self._cursor(followed), json.dumps(followed.read_to))

    def _cursor(self, followed: _Followed) -> str:
        return f"github/{self._host}/{followed.id}"


def _read_cursor(kept: str | None) -> dict[str, str] | None:
    if kept is None:
        return None
    try:
        found = json.loads(kept)
        return {kind: stamp_of(datetime.fromisoformat(found[kind])) for kind in KINDS}
    except (KeyError, TypeError, ValueError):
        log.warning("github_cursor_unreadable", cursor=kept)
        return None


def _remember(followed: _Followed, path: str, query: Mapping[str, Any], answer: Answer) -> None:
    """What was answered has been heard: it need not be answered again."""
    if query["page"] == 1:
        followed.etags[path] = (query.get("since", ""), answer.headers.get("etag", ""))
