"""What the REST API shows; see docs.gitlab.com/api."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from tests.fakes.gitlab.clock import api_time
from tests.fakes.gitlab.world import Award, Note, Noteable, Project, Status

if TYPE_CHECKING:
    from tests.fakes.gitlab.people import Person

Data = dict[str, Any]


def basic(person: Person) -> Data:
    return {
        "id": person.id,
        "username": person.username,
        "public_email": "",
        "name": person.name,
        "state": person.state,
        "locked": False,
        "avatar_url": None,
        "web_url": f"{person.gitlab.url}/{person.username}",
    }


def user(person: Person) -> Data:
    return basic(person) | {"bio": "", "bot": person.is_bot, "created_at": None}


def member(person: Person, level: int) -> Data:
    more = {"access_level": level, "expires_at": None, "membership_state": "active"}
    return basic(person) | more


def project(one: Project) -> Data:
    return {
        "id": one.id,
        "name": one.path.rpartition("/")[2],
        "path": one.path.rpartition("/")[2],
        "path_with_namespace": one.path,
        "visibility": one.visibility,
        "http_url_to_repo": one.clone_url,
        "web_url": one.url,
        "default_branch": None if one.empty else "main",
        "archived": one.archived,
        "empty_repo": one.empty,
        "issues_enabled": True,
        "merge_requests_enabled": True,
    }


def noteable(one: Noteable) -> Data:
    sign = "#" if one.kind == "issues" else "!"
    data = {
        "id": one.id,
        "iid": one.iid,
        "project_id": one.project.id,
        "title": one.title,
        "state": one.state,
        "created_at": api_time(one.created_at),
        "updated_at": api_time(one.updated_at),
        "author": basic(one.author),
        "references": {"short": f"{sign}{one.iid}", "full": one.place},
        "web_url": f"{one.project.url}/-/{one.kind}/{one.iid}",
        "labels": one.labels,
        "description": one.description,
    }
    if one.kind == "issues":
        return data | {"confidential": one.confidential}
    return data | {
        "source_project_id": one.source.id if one.source else None,
        "target_project_id": one.project.id,
        "source_branch": one.branch,
        "target_branch": one.target,
        **_end(one),
        "draft": one.title.startswith("Draft:"),
        "sha": one.sha or None,
    }


def _end(one: Noteable) -> Data:
    who = basic(one.ended_by) if one.ended_by else None
    at = api_time(one.ended_at) if one.ended_at else None
    is_merged = one.state == "merged"
    return {
        "merge_user": who if is_merged else None,
        "merged_at": at if is_merged else None,
        "closed_by": None if is_merged else who,
        "closed_at": None if is_merged else at,
    }


def version(sha: str, at: datetime) -> Data:
    """One push to a merge request."""
    return {
        "head_commit_sha": sha,
        "base_commit_sha": None,
        "state": "collected",
        "created_at": api_time(at),
    }


def note(one: Note) -> Data:
    return {
        "id": one.id,
        "type": one.type,
        "body": one.body,
        "author": basic(one.author),
        "created_at": api_time(one.created_at),
        "updated_at": api_time(one.updated_at),
        "system": one.system,
        "noteable_id": one.noteable.id,
        "noteable_type": noteable_type(one.noteable),
        "project_id": one.noteable.project.id,
        "resolvable": one.type is not None and one.noteable.kind == "merge_requests",
        "confidential": one.internal,
        "internal": one.internal,
        "imported": False,
        "imported_from": "none",
        "noteable_iid": one.noteable.iid,
        "commands_changes": {},
        "position": position(one),
    }


def position(one: Note) -> Data | None:
    """Where in the diff a note is."""
    if one.at is None:
        return None
    path, line = one.at
    return {
        "base_sha": "b" * 40,
        "start_sha": "b" * 40,
        "head_sha": one.noteable.sha,
        "old_path": path,
        "new_path": path,
        "position_type": "text",
        "old_line": None,
        "new_line": line,
        "line_range": None,
    }


def discussion(notes: list[Note]) -> Data:
    return {
        "id": notes[0].discussion,
        "individual_note": notes[0].type is None,
        "notes": [note(one) for one in notes],
    }


def award(one: Award, on: Note) -> Data:
    return {
        "id": one.id,
        "name": one.name,
        "user": basic(one.user),
        "created_at": api_time(one.created_at),
        "updated_at": api_time(one.created_at),
        "awardable_id": on.id,
        "awardable_type": "Note",
        "url": None,
    }


def status(one: Status) -> Data:
    return {
        "id": one.id,
        "sha": one.sha,
        "ref": one.ref,
        "status": one.status,
        "name": one.name,
        "target_url": one.target_url,
        "description": one.description,
        "author": basic(one.user),
        "allow_failure": one.allow_failure,
    }


def noteable_type(one: Noteable) -> str:
    return "Issue" if one.kind == "issues" else "MergeRequest"
