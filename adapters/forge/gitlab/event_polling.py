"""Finds out what happens in projects of a GitLab by asking; for where no webhook comes.

    merge requests that changed ─▶ their pushes (`versions`), and what GitLab notes on them
    issues that changed         ─▶ the labels that they were given
    events of the project       ─▶ pushes
    pipelines                   ─▶ those that failed

Only what somebody wants is asked for.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from adapters.chat.incoming import Hear
from adapters.chat.port import Deadline, Gone
from adapters.forge.gitlab import request_round
from adapters.forge.gitlab.client import Client
from adapters.forge.gitlab.happening import (
    ADDED,
    Data,
    Event,
    EventReader,
    Project,
    moment,
    of_failure,
    of_label,
    of_push,
)
from adapters.forge.gitlab.places import project_path
from adapters.forge.happened import Window, is_wanted
from adapters.forge.port import Cursors

OVERLAP = timedelta(minutes=2)
"""What is stored at one time may be seen a little later."""
READ_SECONDS_MAX = 60.0
"""For one list."""
PAGES_MAX = 10
"""Of one list in a round; what lies behind is older than what anybody waits for."""
SEEN_MAX = 10_000
_REQUEST_REF = "refs/merge-requests/"

Look = Callable[[Project, Window], AsyncIterator[Event]]


class GitLabEvents:
    """Looks at one project after the other, as `GitLabPolling` comes to it."""

    def __init__(self, client: Client, reader: EventReader, cursors: Cursors) -> None:
        """`reader` knows what is wanted."""
        self._client = client
        self._reader = reader
        self._cursors = cursors
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._looks: Mapping[str, Look] = {
            "pull_request": self._requests,
            "push": self._pushes,
            "issue_labelled": self._labels,
            "ci_failed": self._failures,
        }

    async def look(self, name: str, said: Data, now: datetime, hear: Hear) -> None:
        """Hear what happened in a project since the last look.

        :param name: as projects of ours call it
        :param said: the project, as the API had it `now`, by GitLab's clock
        :raises ChatError:
        """
        wanted = await self._reader.wanted()
        kinds = [kind for kind in self._looks if is_wanted(wanted, name, kind)]
        if not kinds:
            return
        project, cursor = Project.of_api(said), f"gitlab:{self._client.host}:{name}:events"
        window = Window.read(await self._cursors.get(cursor), now, OVERLAP)
        found = [event for kind in kinds async for event in self._looks[kind](project, window)]
        for event in sorted(found, key=lambda event: event.at):
            if event.at >= window.since:
                await self._hear(event, hear)
        await self._cursors.put(cursor, window.until(now))

    async def _hear(self, event: Event, hear: Hear) -> None:
        seen = (event.project.path, event.key)
        if seen in self._seen:
            return
        found = await self._reader.read(event, f"poll/{event.key}")
        if found is not None:
            await hear(found)
        self._seen[seen] = None
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)

    async def _requests(self, project: Project, window: Window) -> AsyncIterator[Event]:
        async for request in self._changed(project, window, "merge_requests"):
            path = f"{project_path(project.path)}/merge_requests/{request['iid']}"
            versions = [one async for one in self._list(f"{path}/versions")]
            newest_first = {"sort": "desc", "order_by": "created_at"}
            told = []
            async for note in self._list(f"{path}/notes", **newest_first):
                if moment(note["created_at"]) < window.since:
                    break
                if note["system"]:
                    told.append(note)
            for event in request_round.events(project, request, versions, told):
                yield event

    async def _pushes(self, project: Project, window: Window) -> AsyncIterator[Event]:
        # A day alone can be named, and it is the one before the first that counts.
        after = (window.since - timedelta(days=1)).date().isoformat()
        path = f"{project_path(project.path)}/events"
        async for one in self._list(path, action="pushed", after=after, sort="desc"):
            if moment(one["created_at"]) < window.since:
                return
            push = one.get("push_data") or {}
            if push.get("ref_type") == "branch" and push.get("commit_to"):
                yield of_push(
                    project,
                    str(push["ref"]),
                    push.get("commit_from"),
                    str(push["commit_to"]),
                    user=one["author"],
                    at=moment(one["created_at"]),
                )

    async def _labels(self, project: Project, window: Window) -> AsyncIterator[Event]:
        async for issue in self._changed(project, window, "issues"):
            if issue.get("confidential"):
                continue
            path = f"{project_path(project.path)}/issues/{issue['iid']}/resource_label_events"
            async for one in self._list(path):
                if one["action"] == ADDED and one["label"]:
                    yield of_label(
                        project,
                        issue,
                        str(one["label"]["name"]),
                        user=one["user"],
                        at=moment(one["created_at"]),
                        event=int(one["id"]),
                    )

    async def _failures(self, project: Project, window: Window) -> AsyncIterator[Event]:
        query = {
            "status": "failed",
            "updated_after": _zulu(window.since),
            "order_by": "updated_at",
            "sort": "desc",
        }
        async for one in self._list(f"{project_path(project.path)}/pipelines", **query):
            ref = str(one["ref"])
            if not ref.startswith(_REQUEST_REF):
                yield of_failure(project, one, ref)
                continue
            iid = ref.removeprefix(_REQUEST_REF).partition("/")[0]
            try:
                path = f"{project_path(project.path)}/merge_requests/{iid}"
                request: Data = (await self._client.get(path, _soon())).data
            except Gone:
                continue
            from_fork = request["source_project_id"] != request["target_project_id"]
            yield of_failure(project, one, str(request["source_branch"]), from_fork=from_fork)

    def _changed(self, project: Project, window: Window, kind: str) -> AsyncIterator[Data]:
        query = {"order_by": "updated_at", "sort": "desc", "updated_after": _zulu(window.since)}
        return self._list(f"{project_path(project.path)}/{kind}", **query)

    async def _list(self, path: str, **query: Any) -> AsyncIterator[Data]:
        pages = 0
        async for page in self._client.pages(path, _soon(), **query):
            entries: Sequence[Data] = page.data
            for one in entries:
                yield one
            pages += 1
            if pages >= PAGES_MAX:
                return


def _zulu(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}Z"


def _soon() -> Deadline:
    return Deadline.after(READ_SECONDS_MAX)
