"""Asks GitLab again and again what was said; for where no webhook can reach us, and behind those.

    repository ─▶ merge requests and issues changed since ─▶ their notes, newest changes first
                                                                ├▶ requests, edits
                                                                └▶ stop signs at notes of ours,
                                                                   and at requests

A repository has a cursor: two times of GitLab's own clock, to where all was heard and from where on
we listen at all. It moves when everything before was heard, so that what a crash cuts off is asked
for again, and twice is once for who hears it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import structlog

from adapters.chat.incoming import Hear
from adapters.chat.port import ChatError, Deadline, Throttled
from adapters.forge.gitlab.client import Client
from adapters.forge.gitlab.event_polling import GitLabEvents
from adapters.forge.gitlab.places import Kind, project_path
from adapters.forge.gitlab.reading import STOP_EMOJI, Award, Note, Reader
from adapters.forge.polled import CATCH_UP_SECONDS, POLL_SECONDS, condition
from adapters.forge.port import BRANCHES, Cursors, Repositories
from adapters.forge.rereading import LOOK_SECONDS
from adapters.listening import Condition, Hears, Tell, nobody, pause

log = structlog.get_logger(__name__)

OVERLAP = timedelta(minutes=2)
"""How far each look reaches back behind the one before: a note marks its merge request or issue as
changed at most once a minute, and what is stored at one time may be seen a little later."""
READ_SECONDS_MAX = 60.0
"""For one list."""
PAUSE_SECONDS_MAX = 300.0
HEARD_MAX = 10_000
"""Wordings of notes that are not heard again within the overlap."""
OURS_SECONDS = 3600.0
"""How long we look for stop signs where we spoke or were asked: those don't mark anything as
changed."""
OURS_MAX = 100
HEARS = Hears(
    ways=(f"asking every {POLL_SECONDS:g} s", "webhooks"),
    follow_ups=False,
    deletions=f"of what waits, within {LOOK_SECONDS:g} s",
    stop_signs=STOP_EMOJI,
    missed=f"asked for, within {CATCH_UP_SECONDS:g} s",
)

Data = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Thread:
    """A merge request or an issue."""

    project: str
    clone_url: str
    kind: Kind
    iid: int
    branch: str
    """Of a merge request: the branch that it asks to be merged."""
    is_from_fork: bool
    is_confidential: bool

    @property
    def path(self) -> str:
        return f"{project_path(self.project)}/{self.kind}/{self.iid}"


class GitLabPolling:
    """Polls the repositories of one GitLab."""

    def __init__(
        self,
        client: Client,
        reader: Reader,
        repositories: Repositories,
        cursors: Cursors,
        *,
        seconds: float = POLL_SECONDS,
        tell: Tell = nobody,
        happens: GitLabEvents | None = None,
    ) -> None:
        """`seconds` between two looks: POLL_SECONDS, or CATCH_UP_SECONDS beside webhooks.

        :param happens: looks at what is done in them; None: nobody wants to hear of that
        """
        self._happens = happens
        self._client = client
        self._reader = reader
        self._repositories = repositories
        self._cursors = cursors
        self._seconds = seconds
        self._tell = tell
        self._heard: OrderedDict[tuple[int, str], None] = OrderedDict()
        self._ours: OrderedDict[_Thread, float] = OrderedDict()
        """Where we have spoken or were asked, and when we saw that last."""

    async def run(self, hear: Hear, stop: asyncio.Event) -> None:
        """Poll until `stop`; what fails is tried again with the next look."""
        while not stop.is_set():
            seconds = self._seconds
            try:
                await self.once(hear)
            except Throttled as error:
                seconds = max(seconds, min(error.retry_seconds, PAUSE_SECONDS_MAX))
                self._tell(Condition.FAILING, str(error))
                log.warning("gitlab_throttles", seconds=seconds)
            except Exception as error:
                log.exception("gitlab_not_polled")
                self._tell(Condition.FAILING, f"nothing could be asked: {type(error).__name__}")
            await pause(stop, seconds)

    async def once(self, hear: Hear) -> None:
        """Look once, at every repository; one that fails keeps its cursor.

        :raises Throttled: the others have to wait too
        """
        names, trouble = await self._repositories(), dict[str, str]()
        for name in names:
            try:
                await self._look(name, hear)
            except Throttled:
                raise
            except ChatError as error:
                trouble[name] = str(error)
                log.warning("gitlab_repository_not_read", repository=name, why=str(error))
            except Exception as error:
                trouble[name] = f"it could not be read: {type(error).__name__}"
                log.exception("gitlab_repository_failed", repository=name)
        self._tell(*(condition(names, trouble) if names else await self._without_any()))

    async def _without_any(self) -> tuple[Condition, str]:
        """Whether we could listen, where there is no repository to be asked."""
        try:
            await self._client.get("/user", _soon())
        except Throttled:
            raise
        except ChatError as error:
            return Condition.FAILING, str(error)
        return Condition.LISTENING, ""

    async def _look(self, name: str, hear: Hear) -> None:
        answer = await self._client.get(project_path(name), _soon())
        key = f"gitlab:{self._client.host}:{name}"
        cursor = await self._cursors.get(key)
        begun = answer.at
        if cursor is not None:
            until, begun = (datetime.fromisoformat(one) for one in cursor.split())
            since = max(until - OVERLAP, begun)
            for thread in await self._changed(answer.data, until - OVERLAP):
                await self._thread(thread, since, hear)
        await self._cursors.put(key, f"{answer.at.isoformat()} {begun.isoformat()}")
        if self._happens is not None:
            await self._happens.look(name, answer.data, answer.at, hear)

    async def _changed(self, project: Data, since: datetime) -> list[_Thread]:
        """What changed, and where else a stop sign may stand."""
        name, found = str(project["path_with_namespace"]), []
        kinds: tuple[Kind, ...] = ("merge_requests", "issues")
        for kind in kinds:
            if not project.get(f"{kind}_enabled", True):
                continue
            # Newest first: what changes while we turn pages moves to where we have been, and is
            # found the next time; in the other order it would push something past us.
            query = {"order_by": "updated_at", "sort": "desc", "updated_after": _zulu(since)}
            path = f"{project_path(name)}/{kind}"
            async for page in self._client.pages(path, _soon(), **query):
                found += [_thread_of(project, kind, one) for one in page.data]
        recent = monotonic() - OURS_SECONDS
        for thread, seen in list(self._ours.items()):
            if seen < recent:
                del self._ours[thread]
            elif thread.project == name:
                found.append(thread)
        return list(dict.fromkeys(found))

    async def _thread(self, thread: _Thread, since: datetime, hear: Hear) -> None:
        changed: list[Data] = []
        query = {"order_by": "updated_at", "sort": "desc"}
        async for page in self._client.pages(f"{thread.path}/notes", _soon(), **query):
            fresh = [one for one in page.data if _moment(one["updated_at"]) >= since]
            changed += fresh
            if len(fresh) < len(page.data):
                break
        for note in sorted(changed, key=lambda one: int(one["id"])):
            wording = (int(note["id"]), str(note["updated_at"]))
            if wording not in self._heard:
                await self._note(thread, note, since, hear)
                self._heard[wording] = None
                if len(self._heard) > HEARD_MAX:
                    self._heard.popitem(last=False)

    async def _note(self, thread: _Thread, note: Data, since: datetime, hear: Hear) -> None:
        if note["system"]:
            return
        us = await self._client.ourselves(_soon())
        for heard in await self._reader.note(await self._read(thread, note, since)):
            await hear(heard)
        is_ours = note["author"]["id"] == us.id
        if is_ours or await self._reader.request(str(note["body"])) is not None:
            self._remember(thread)
            await self._awards(thread, note, since, hear)

    async def _read(self, thread: _Thread, note: Data, since: datetime) -> Note:
        body, discussion = str(note["body"]), ""
        made, is_ours = _moment(note["created_at"]), thread.branch.startswith(BRANCHES)
        is_new = made >= since
        asks = note["type"] and await self._reader.request(body) is not None
        if asks or (note["type"] and is_new and is_ours):
            discussion = await self._discussion(thread, int(note["id"]))
        return Note(
            project=thread.project,
            clone_url=thread.clone_url,
            kind=thread.kind,
            iid=thread.iid,
            id=int(note["id"]),
            author_id=int(note["author"]["id"]),
            author_name=str(note["author"]["username"]),
            body=body,
            delivery=f"poll/{note['id']}",
            discussion=discussion,
            is_internal=bool(note.get("internal", note.get("confidential"))),
            is_confidential=thread.is_confidential,
            branch=thread.branch,
            is_from_fork=thread.is_from_fork,
            # Who edited an older one is not told, so that it must not speak for its author now.
            is_new=is_new,
            is_edited=_moment(note["updated_at"]) > made,
        )

    async def _discussion(self, thread: _Thread, note_id: int) -> str:
        """Id of the discussion that a note is in, which notes alone don't tell."""
        async for page in self._client.pages(f"{thread.path}/discussions", _soon()):
            for discussion in page.data:
                if any(one["id"] == note_id for one in discussion["notes"]):
                    return "" if discussion["individual_note"] else str(discussion["id"])
        return ""

    async def _awards(self, thread: _Thread, note: Data, since: datetime, hear: Hear) -> None:
        """The stop signs at a note; an award changes the note's time."""
        if note["updated_at"] == note["created_at"]:
            return
        path = f"{thread.path}/notes/{note['id']}/award_emoji"
        async for page in self._client.pages(path, _soon()):
            for award in page.data:
                if _moment(award["created_at"]) < since:
                    continue
                reacted = await self._reader.award(_award_of(thread, note, award))
                if reacted is not None:
                    await hear(reacted)

    def _remember(self, thread: _Thread) -> None:
        self._ours.pop(thread, None)
        self._ours[thread] = monotonic()
        if len(self._ours) > OURS_MAX:
            self._ours.popitem(last=False)


def _thread_of(project: Data, kind: Kind, one: Data) -> _Thread:
    is_request = kind == "merge_requests"
    return _Thread(
        project=str(project["path_with_namespace"]),
        clone_url=str(project["http_url_to_repo"]),
        kind=kind,
        iid=int(one["iid"]),
        branch=str(one["source_branch"]) if is_request else "",
        is_from_fork=is_request and one["source_project_id"] != one["target_project_id"],
        is_confidential=bool(one.get("confidential")),
    )


def _award_of(thread: _Thread, note: Data, award: Data) -> Award:
    return Award(
        project=thread.project,
        id=int(award["id"]),
        name=str(award["name"]),
        user_id=int(award["user"]["id"]),
        user_name=str(award["user"]["username"]),
        note_id=int(note["id"]),
        note_author_id=int(note["author"]["id"]),
    )


def _soon() -> Deadline:
    return Deadline.after(READ_SECONDS_MAX)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _zulu(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"
