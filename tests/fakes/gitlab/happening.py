"""What people do with merge requests, issues, branches and pipelines, and what GitLab tells of it.

    async with FakeGitLab() as gitlab:
        ...
        deeds = Deeds(gitlab)
        request = deeds.opens(ann, project)
        deeds.pushes(ann, request)
        deeds.approves(bo, request)

The lines that GitLab notes on a merge request are those of its source, and stay English.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.fakes.gitlab import payloads
from tests.fakes.gitlab.clock import api_time, hook_time
from tests.fakes.gitlab.rest import Call, Listed, Refused, route
from tests.fakes.gitlab.world import LabelEvent, Noteable, Pipeline, Project, Push

if TYPE_CHECKING:
    from tests.fakes.gitlab.people import Person
    from tests.fakes.gitlab.server import FakeGitLab

PROJECT = "/projects/{project}"
NOBODY = "0" * 40


@dataclass
class Deeds:
    gitlab: FakeGitLab

    def opens(
        self,
        who: Person,
        project: Project,
        *,
        branch: str = "work",
        title: str = "",
        source: Project | None = None,
        target: str = "main",
    ) -> Noteable:
        request = self.gitlab.open(project, "merge_requests", who, branch=branch, source=source)
        request.title, request.target = title or request.title, target
        self._request(who, request, "open")
        return request

    def pushes(self, who: Person, request: Noteable) -> str:
        """Push to the branch of a merge request."""
        before = request.sha
        after = who.pushes(request)
        request.pushed[after] = request.updated_at
        if request.source is request.project:
            self._push(who, request.project, request.branch, before, after)
        self._request(who, request, "update", oldrev=before)
        return after

    def commits(self, who: Person, project: Project, branch: str = "main") -> str:
        """Push to a branch."""
        known = [one.after for one in project.pushes if one.branch == branch]
        after = self.gitlab.new_sha()
        self._push(who, project, branch, known[-1] if known else NOBODY, after)
        return after

    def is_ready(self, who: Person, request: Noteable) -> None:
        request.title = request.title.removeprefix("Draft: ")
        self.gitlab.notes.system(request, who, "marked this merge request as **ready**")
        changes = {"draft": {"previous": True, "current": False}}
        self._request(who, request, "update", changes=changes)

    def approves(self, who: Person, request: Noteable, action: str = "approved") -> None:
        self.gitlab.notes.system(request, who, "approved this merge request")
        self._request(who, request, action)

    def asks_review(self, who: Person, request: Noteable, *reviewers: Person) -> None:
        names = " and ".join(f"@{one.username}" for one in reviewers)
        self.gitlab.notes.system(request, who, f"requested review from {names}")
        current = [{"id": one.id, "username": one.username} for one in reviewers]
        changes = {"reviewers": {"previous": [], "current": current}}
        self._request(who, request, "update", changes=changes)

    def ends(self, who: Person, request: Noteable, *, merged: bool) -> None:
        request.state = "merged" if merged else "closed"
        request.updated_at = request.ended_at = self.gitlab.clock.now()
        request.ended_by = who
        self._request(who, request, "merge" if merged else "close")

    def labels(self, who: Person, issue: Noteable, *names: str) -> None:
        before = [_label(one) for one in issue.labels]
        for name in names:
            event = LabelEvent(
                id=self.gitlab.new_id(), user=who, label=name, created_at=self.gitlab.clock.now()
            )
            issue.label_events.append(event)
            issue.labels.append(name)
        issue.updated_at = self.gitlab.clock.now()
        current = [_label(one) for one in issue.labels]
        changes = {"labels": {"previous": before, "current": current}}
        self._tell(who, issue, "issue", "Issue Hook", "update", changes=changes)

    def fails(self, who: Person, project: Project, branch: str, sha: str) -> Pipeline:
        """Let a pipeline fail."""
        pipeline = Pipeline(
            id=self.gitlab.new_id(), ref=branch, sha=sha, updated_at=self.gitlab.clock.now()
        )
        project.pipelines.append(pipeline)
        data = {
            "object_kind": "pipeline",
            "object_attributes": {
                "id": pipeline.id,
                "ref": branch,
                "tag": False,
                "sha": sha,
                "source": "push",
                "status": "failed",
                "finished_at": hook_time(pipeline.updated_at),
                "url": f"{project.url}/-/pipelines/{pipeline.id}",
            },
            "merge_request": None,
            "user": _user(who),
            "project": self.gitlab.hooks.project(project),
        }
        self.gitlab.hooks.happened(project, "Pipeline Hook", data)
        return pipeline

    def _push(self, who: Person, project: Project, branch: str, before: str, after: str) -> None:
        at = self.gitlab.clock.now()
        push = Push(user=who, branch=branch, before=before, after=after, created_at=at)
        project.pushes.append(push)
        data = {
            "object_kind": "push",
            "ref": f"refs/heads/{branch}",
            "before": before,
            "after": after,
            "user_id": who.id,
            "user_username": who.username,
            "project": self.gitlab.hooks.project(project),
        }
        self.gitlab.hooks.happened(project, "Push Hook", data)

    def _request(self, who: Person, request: Noteable, action: str, **more: Any) -> None:
        self._tell(who, request, "merge_request", "Merge Request Hook", action, **more)

    def _tell(
        self,
        who: Person,
        noteable: Noteable,
        kind: str,
        event: str,
        action: str,
        *,
        changes: dict[str, Any] | None = None,
        oldrev: str = "",
    ) -> None:
        labels = [_label(one) for one in noteable.labels]
        data = {
            "object_kind": kind,
            "event_type": kind,
            "user": _user(who),
            "project": self.gitlab.hooks.project(noteable.project),
            "object_attributes": self.gitlab.hooks.noteable(noteable)
            | {
                "action": action,
                "description": noteable.description,
                "labels": labels,
                "url": f"{noteable.project.url}/-/{noteable.kind}/{noteable.iid}",
            }
            | ({"oldrev": oldrev} if oldrev else {}),
            "labels": labels,
            "changes": changes or {},
        }
        self.gitlab.hooks.happened(noteable.project, event, data)


def _user(who: Person) -> dict[str, Any]:
    return {"id": who.id, "name": who.name, "username": who.username}


def _label(name: str) -> dict[str, Any]:
    return {"id": sum(name.encode()), "title": name}


@route("GET", PROJECT + "/events", "events.list")
def list_events(call: Call) -> Listed:
    """Pushes alone: the day named is not among those that count."""
    after = call.query.get("after", "")
    found = [one for one in call.project.pushes if f"{one.created_at:%Y-%m-%d}" > after]
    return Listed([_event(one) for one in reversed(found)])


def _event(push: Push) -> dict[str, Any]:
    is_new = push.before == NOBODY
    return {
        "action_name": "pushed new" if is_new else "pushed to",
        "created_at": api_time(push.created_at),
        "author": payloads.basic(push.user),
        "push_data": {
            "action": "created" if is_new else "pushed",
            "ref_type": "branch",
            "ref": push.branch,
            "commit_from": None if is_new else push.before,
            "commit_to": push.after,
        },
    }


@route("GET", PROJECT + "/{kind:issues}/{iid}/resource_label_events", "label_events.list")
def list_label_events(call: Call) -> Listed:
    return Listed(
        [
            {
                "id": one.id,
                "user": payloads.basic(one.user),
                "created_at": api_time(one.created_at),
                "label": {"id": sum(one.label.encode()), "name": one.label},
                "action": "add",
            }
            for one in call.noteable.label_events
        ]
    )


@route("GET", PROJECT + "/pipelines", "pipelines.list")
def list_pipelines(call: Call) -> Listed:
    assert call.query["status"] == "failed"
    found = sorted(call.project.pipelines, key=lambda one: one.updated_at, reverse=True)
    return Listed(
        [
            {
                "id": one.id,
                "ref": one.ref,
                "sha": one.sha,
                "status": "failed",
                "updated_at": api_time(one.updated_at),
                "web_url": f"{call.project.url}/-/pipelines/{one.id}",
            }
            for one in found
        ]
    )


@route("GET", "/projects", "projects.list")
def list_projects(call: Call) -> Listed:
    """Of which somebody is a member."""
    assert call.query.get("membership") == "True"
    return Listed(_searched(call, call.gitlab.projects))


@route("GET", "/groups/{group}/projects", "groups.projects")
def list_group(call: Call) -> Listed:
    group = f"{call.where['group']}/"
    found = [one for one in call.gitlab.projects if one.path.startswith(group)]
    if not found:
        raise Refused(404, "404 Group Not Found")
    return Listed(_searched(call, found))


def _searched(call: Call, projects: list[Project]) -> list[dict[str, Any]]:
    words = call.query.get("search", "").casefold()
    topics = set(filter(None, call.query.get("topic", "").split(",")))
    return [
        payloads.project(one)
        for one in projects
        if one.level(call.user)
        and words in one.path.rpartition("/")[2].casefold()
        and topics <= set(one.topics)
    ]
