"""Webhooks: those of the emulator put right, signed as GitHub does, and kept or handed on.

The emulator numbers its deliveries anew for each subscription, doesn't say what an edit has
changed, nor that an issue is a pull request, nor who is asked for a review. It knows no
`requested_action` and no edit of a review: these are made here.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.fakes.github.program import OWNER, token_of

if TYPE_CHECKING:
    from tests.fakes.github.server import FakeGitHub

CONVERSATION = frozenset(
    {"issue_comment", "pull_request_review_comment", "pull_request_review", "check_run"}
)
ALL = CONVERSATION | {"pull_request", "push", "issues", "status"}
"""What an app like ours is subscribed to."""
KINDS = {"issue_comment": "issue_comment", "pull_request_review_comment": "review_comment"}
SECRET = "webhook-secret"

Subscriber = Callable[[Mapping[str, str], bytes], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Delivery:
    id: str
    event: str
    action: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def payload(self) -> dict[str, Any]:
        return json.loads(self.body)


class Hooks:
    def __init__(self, github: FakeGitHub) -> None:
        self._github = github
        self.secret = SECRET
        self.deliveries: list[Delivery] = []
        self.subscriber: Subscriber | None = None
        """Gets each delivery as it comes; nobody, and it is only kept."""
        self.events = CONVERSATION
        """What the app is subscribed to."""
        self.away = False
        """What happens now is delivered to nobody, and never again."""
        self.crashes: list[BaseException] = []

    async def receive(self, request: web.Request) -> web.Response:
        """From the emulator."""
        event = request.headers["X-GitHub-Event"]
        payload = self._github.upstream.read(await request.text())
        if event in self.events:
            try:
                await self.deliver(event, await self._completed(event, payload))
            except Exception as crash:
                self.crashes.append(crash)
                raise
        return web.Response()

    async def deliver(self, event: str, payload: dict[str, Any]) -> Delivery | None:
        """Send something to the app; None: it is away, or not subscribed."""
        if self.away or event not in self.events:
            return None
        body = json.dumps(payload).encode()
        id_ = str(uuid.uuid4())
        headers = {
            "Content-Type": "application/json",
            "X-GitHub-Event": event,
            "X-GitHub-Delivery": id_,
            "X-Hub-Signature-256": self.signature(body),
        }
        action = str(payload.get("action"))
        delivery = Delivery(id=id_, event=event, action=action, headers=headers, body=body)
        self.deliveries.append(delivery)
        if self.subscriber is not None:
            await self.subscriber(headers, body)
        self._github.changed()
        return delivery

    def signature(self, body: bytes, secret: str | None = None) -> str:
        key = (secret or self.secret).encode()
        return "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()

    async def next(self, event: str, action: str, text: str = "") -> Delivery:
        """The first delivery of a kind with a text in it, awaited."""

        def found() -> Delivery | None:
            return next(
                (
                    one
                    for one in self.deliveries
                    if (one.event, one.action) == (event, action) and text in one.body.decode()
                ),
                None,
            )

        await self._github.until(found)
        delivery = found()
        assert delivery is not None
        return delivery

    async def _completed(self, event: str, payload: dict[str, Any]) -> dict[str, Any]:
        if event == "issue_comment":
            repository, number = payload["repository"]["full_name"], payload["issue"]["number"]
            if await self._is_pull(repository, number):
                url = f"{self._github.url}/repos/{repository}/pulls/{number}"
                payload["issue"]["pull_request"] = {"url": url}
        if payload.get("action") == "edited" and event in KINDS:
            payload["changes"] = {"body": {"from": await self._before(event, payload)}}
        if payload.get("action") == "review_requested":
            payload["requested_reviewer"] = payload["pull_request"]["requested_reviewers"][-1]
        if event == "check_run":
            run = payload["check_run"]
            suite = {**(run["check_suite"] or {})}
            branch = self._github.ci.branches.get(run["head_sha"])
            run["check_suite"] = {**suite, "head_branch": branch}
        return payload

    async def _before(self, event: str, payload: dict[str, Any]) -> str:
        key = (payload["repository"]["full_name"], KINDS[event], payload["comment"]["id"])
        # The answer to the edit may not have passed by yet.
        async with asyncio.timeout(100):
            while self._github.world.said[key].data["body"] != payload["comment"]["body"]:
                await asyncio.sleep(0.005)
        return self._github.world.said[key].before

    async def _is_pull(self, repository: str, number: int) -> bool:
        headers = {"Authorization": f"token {token_of(OWNER)}"}
        path = f"/repos/{repository}/pulls/{number}"
        reply = await self._github.upstream.ask("GET", path, {}, None, headers)
        return reply.status == 200
