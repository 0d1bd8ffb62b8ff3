"""Webhooks: what happens in a project is posted to whoever asked for it, once.

See docs.gitlab.com/user/project/integrations/webhook_events. A delivery that fails is not repeated
by itself; `again` does what its page's button does. With a signing token each bears a signature as
in the Standard Webhooks specification, with a secret token that token itself.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import aiohttp

from tests.fakes.gitlab import payloads
from tests.fakes.gitlab.clock import hook_time
from tests.fakes.gitlab.payloads import noteable_type
from tests.fakes.gitlab.world import Award, Hook, Note, Noteable, Project

if TYPE_CHECKING:
    from tests.fakes.gitlab.people import Person
    from tests.fakes.gitlab.server import FakeGitLab

Data = dict[str, Any]
TIMEOUT_SECONDS = 10
SIGNING_PREFIX = "whsec_"


@dataclass(eq=False, kw_only=True)
class Delivery:
    """One request to a webhook's URL."""

    hook: Hook
    headers: dict[str, str]
    body: bytes
    status: int = 0
    """What was answered; 0: nothing yet, -1: nothing ever."""


class Hooks:
    def __init__(self, gitlab: FakeGitLab) -> None:
        self._gitlab = gitlab
        self._sending: set[asyncio.Task[None]] = set()
        self.all: list[Delivery] = []
        """Everything that was sent, oldest first."""

    def note(self, note: Note, action: Literal["create", "update"]) -> None:
        hidden = note.internal or note.noteable.confidential
        kind = "confidential_note" if hidden else "note"
        data = self._base("note", kind, note.noteable, note.author)
        data["object_attributes"] = _note(note) | {"action": action}
        name = "Confidential Note Hook" if hidden else "Note Hook"
        for hook in note.noteable.project.hooks:
            if hook.confidential_note_events if hidden else hook.note_events:
                self._send(hook, name, data)

    def emoji(self, note: Note, award: Award, action: Literal["award", "revoke"]) -> None:
        data = self._base("emoji", action, note.noteable, award.user)
        data["object_attributes"] = {
            "user_id": award.user.id,
            "created_at": hook_time(award.created_at),
            "id": award.id,
            "name": award.name,
            "awardable_type": "Note",
            "awardable_id": note.id,
            "updated_at": hook_time(award.created_at),
            "action": action,
            "awarded_on_url": _url(note),
        }
        data["note"] = _note(note)
        for hook in note.noteable.project.hooks:
            if hook.emoji_events:
                self._send(hook, "Emoji Hook", data)

    def happened(self, project: Project, event: str, data: Data) -> None:
        """Tell what was done in a project."""
        for hook in project.hooks:
            if hook.other_events:
                self._send(hook, event, data)

    def project(self, one: Project) -> Data:
        return _project(one)

    def noteable(self, one: Noteable) -> Data:
        return _noteable(one)

    def again(self, delivery: Delivery) -> Delivery:
        """Send one again, as the page of the webhook offers it: the same body and key."""
        more = {"X-Gitlab-Webhook-UUID": str(uuid.uuid4())}
        return self._deliver(delivery.hook, delivery.headers | more, delivery.body)

    async def stop(self) -> None:
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    def _base(self, kind: str, event: str, noteable: Noteable, user: Person) -> Data:
        name = "issue" if noteable.kind == "issues" else "merge_request"
        return {
            "object_kind": kind,
            "event_type": event,
            "user": {
                "id": user.id,
                "name": user.name,
                "username": user.username,
                "avatar_url": None,
                "email": "[REDACTED]",
            },
            "project_id": noteable.project.id,
            "project": _project(noteable.project),
            name: _noteable(noteable),
        }

    def _send(self, hook: Hook, event: str, data: Data) -> None:
        key, body = str(uuid.uuid4()), json.dumps(data).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "GitLab/18.9.0-ee",
            "Idempotency-Key": key,
            "X-Gitlab-Event": event,
            "X-Gitlab-Webhook-UUID": str(uuid.uuid4()),
            "X-Gitlab-Instance": self._gitlab.url,
            "X-Gitlab-Event-UUID": str(uuid.uuid4()),
        }
        if hook.token:
            headers["X-Gitlab-Token"] = hook.token
        if hook.signing_token:
            moment = str(int(self._gitlab.clock.now().timestamp()))
            headers["webhook-id"], headers["webhook-timestamp"] = key, moment
            headers["webhook-signature"] = signature(hook.signing_token, key, moment, body)
        self._deliver(hook, headers, body)

    def _deliver(self, hook: Hook, headers: dict[str, str], body: bytes) -> Delivery:
        delivery = Delivery(hook=hook, headers=headers, body=body)
        self.all.append(delivery)
        task = asyncio.ensure_future(self._post(delivery))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        return delivery

    async def _post(self, delivery: Delivery) -> None:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(
                    delivery.hook.url, data=delivery.body, headers=delivery.headers
                ) as answer,
            ):
                delivery.status = answer.status
        except (aiohttp.ClientError, TimeoutError):
            delivery.status = -1
        self._gitlab.changed()


def signature(token: str, key: str, moment: str, body: bytes) -> str:
    """As the `webhook-signature` header has it."""
    secret = base64.b64decode(token.removeprefix(SIGNING_PREFIX))
    signed = hmac.digest(secret, f"{key}.{moment}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(signed).decode()}"


def _project(one: Project) -> Data:
    return {
        "id": one.id,
        "name": one.path.rpartition("/")[2],
        "web_url": one.url,
        "git_ssh_url": f"git@gitlab.test:{one.path}.git",
        "git_http_url": one.clone_url,
        "visibility_level": {"private": 0, "internal": 10, "public": 20}[one.visibility],
        "path_with_namespace": one.path,
        "default_branch": "main",
    }


def _noteable(one: Noteable) -> Data:
    data = {
        "id": one.id,
        "iid": one.iid,
        "title": one.title,
        "state": one.state,
        "author_id": one.author.id,
        "created_at": hook_time(one.created_at),
        "updated_at": hook_time(one.updated_at),
    }
    if one.kind == "issues":
        return data | {"confidential": one.confidential, "project_id": one.project.id}
    return data | {
        "source_project_id": one.source.id if one.source else None,
        "target_project_id": one.project.id,
        "source_branch": one.branch,
        "target_branch": one.target,
        "draft": one.title.startswith("Draft:"),
        "last_commit": {"id": one.sha},
    }


def _note(one: Note) -> Data:
    return {
        "id": one.id,
        "note": one.body,
        "description": one.body,
        "noteable_type": noteable_type(one.noteable),
        "noteable_id": one.noteable.id,
        "author_id": one.author.id,
        "created_at": hook_time(one.created_at),
        "updated_at": hook_time(one.updated_at),
        "updated_by_id": one.updated_by.id if one.updated_by else None,
        "project_id": one.noteable.project.id,
        "discussion_id": one.discussion,
        "type": one.type,
        "position": payloads.position(one),
        "internal": one.internal,
        "system": one.system,
        "url": _url(one),
    }


def _url(one: Note) -> str:
    noteable = one.noteable
    return f"{noteable.project.url}/-/{noteable.kind}/{noteable.iid}#note_{one.id}"
