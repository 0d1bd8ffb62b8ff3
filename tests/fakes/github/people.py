"""People, and what they do: by requests of their own, as everything else."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.fakes.github.hooks import Delivery
from tests.fakes.github.program import token_of

if TYPE_CHECKING:
    from tests.fakes.github.server import FakeGitHub

LEVELS = {"read": "pull", "triage": "triage", "write": "push", "maintain": "maintain"}


@dataclass(frozen=True, kw_only=True)
class Message:
    """A comment, or the words of a review."""

    kind: str
    id: int
    thread: Thread
    root: int = 0
    """Of an inline thread."""

    @property
    def ref(self) -> str:
        return f"{self.kind}/{self.id}"

    @property
    def place(self) -> str:
        return f"{self.thread.place}/r{self.root}" if self.root else self.thread.place


@dataclass(frozen=True, kw_only=True)
class Thread:
    """An issue or a pull request."""

    repository: Repository
    number: int
    by: Person

    @property
    def place(self) -> str:
        return f"{self.repository.name}#{self.number}"

    @property
    def path(self) -> str:
        return f"/repos/{self.repository.name}/pulls/{self.number}"

    async def head(self) -> str:
        return str((await self.by.asks("GET", self.path))["head"]["sha"])

    async def push(self) -> str:
        """Let the branch have a newer commit."""
        await self.by.asks("PUT", f"{self.path}/update-branch")
        return await self.head()

    async def is_ready(self, by: Person) -> None:
        """Let it be no draft any more."""
        await by.asks("PATCH", self.path, {"draft": False})

    async def ends(self, by: Person, *, merged: bool) -> None:
        """Let it be merged or closed."""
        if merged:
            await by.asks("PUT", f"{self.path}/merge", {})
        else:
            await by.asks("PATCH", self.path, {"state": "closed"})

    async def asks_review(self, by: Person, *who: Person) -> None:
        body = {"reviewers": [one.login for one in who]}
        await by.asks("POST", f"{self.path}/requested_reviewers", body)

    async def labels(self, by: Person, *names: str) -> None:
        """Label the issue."""
        path = f"/repos/{self.repository.name}/issues/{self.number}/labels"
        await by.asks("POST", path, {"labels": list(names)})

    def checks(self, head: str) -> list[dict[str, Any]]:
        """The check runs on a commit, as people see them."""
        checks = self.repository.github.world.checks
        return [run for run in checks.values() if run["head_sha"] == head]


@dataclass(frozen=True, kw_only=True)
class Repository:
    github: FakeGitHub
    name: str
    owner: Person

    async def let(self, person: Person, level: str) -> None:
        """Let somebody `read`, `triage`, `write`, `maintain` or be `admin`."""
        path = f"/repos/{self.name}/collaborators/{person.login}"
        await self.owner.asks("PUT", path, {"permission": LEVELS.get(level, level)})

    async def pull(self, branch: str = "", *, by: Person | None = None, **more: Any) -> Thread:
        """A pull request from a branch of the repository itself."""
        head = branch or f"branch-{secrets.token_hex(3)}"
        return await self._pull(by or self.owner, head, **more)

    async def write(self, by: Person, branch: str = "main") -> str:
        """Push a commit to a branch; its hash."""
        path = f"/repos/{self.name}/contents/{secrets.token_hex(4)}.txt"
        body = {"message": "More", "content": "bW9yZQ==", "branch": branch}
        return str((await by.asks("PUT", path, body))["commit"]["sha"])

    async def pull_from_fork(self, person: Person) -> Thread:
        await person.asks("POST", f"/repos/{self.name}/forks", {})
        return await self._pull(person, f"{person.login}:branch-{secrets.token_hex(3)}")

    async def issue(self) -> Thread:
        made = await self.owner.asks("POST", f"/repos/{self.name}/issues", {"title": "It breaks"})
        return Thread(repository=self, number=made["number"], by=self.owner)

    async def _pull(self, person: Person, head: str, **more: Any) -> Thread:
        body = {"title": "A change", "head": head, "base": "main", **more}
        made = await person.asks("POST", f"/repos/{self.name}/pulls", body)
        return Thread(repository=self, number=made["number"], by=person)


@dataclass(kw_only=True)
class Person:
    github: FakeGitHub
    login: str
    _id: int | None = field(default=None, repr=False)

    async def asks(self, verb: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Make a request."""
        return await self.github.ask(verb, path, body, f"token {token_of(self.login)}")

    async def id(self) -> int:
        if self._id is None:
            self._id = (await self.asks("GET", f"/users/{self.login}"))["id"]
        return self._id

    async def creates(self, name: str, *, private: bool = False) -> Repository:
        name = f"{name}-{secrets.token_hex(4)}"
        made = {"name": name, "private": private, "auto_init": True}
        repository = (await self.asks("POST", "/user/repos", made))["full_name"]
        config = {"url": f"{self.github.url}/_emulator/hook", "content_type": "json"}
        hook = {"name": "web", "events": ["*"], "config": config}
        await self.asks("POST", f"/repos/{repository}/hooks", hook)
        return Repository(github=self.github, name=repository, owner=self)

    async def says(self, thread: Thread, text: str) -> Message:
        path = f"/repos/{thread.repository.name}/issues/{thread.number}/comments"
        made = await self.asks("POST", path, {"body": text})
        return Message(kind="issue_comment", id=made["id"], thread=thread)

    async def says_inline(self, thread: Thread, text: str, to: Message | None = None) -> Message:
        """Comment on a line of code, or answer in such a thread."""
        if to is not None:
            path = f"{thread.path}/comments/{to.root}/replies"
            made = await self.asks("POST", path, {"body": text})
            return Message(kind="review_comment", id=made["id"], thread=thread, root=to.root)
        body = {"body": text, "path": "README.md", "line": 1, "side": "RIGHT"}
        made = await self.asks("POST", f"{thread.path}/comments", body)
        return Message(kind="review_comment", id=made["id"], thread=thread, root=made["id"])

    async def reviews(
        self,
        thread: Thread,
        text: str,
        *,
        event: str = "COMMENT",
        comments: Sequence[dict[str, Any]] = (),
    ) -> Message:
        """Submit a review, with what it says at lines of code."""
        body = {"body": text, "event": event, "comments": list(comments)}
        made = await self.asks("POST", f"{thread.path}/reviews", body)
        return Message(kind="review", id=made["id"], thread=thread)

    async def edits(self, message: Message, text: str) -> None:
        if message.kind == "review":
            path = f"{message.thread.path}/reviews/{message.id}"
            await self.asks("PUT", path, {"body": text})
        else:
            await self.asks("PATCH", self._path(message), {"body": text})

    async def deletes(self, message: Message) -> None:
        await self.asks("DELETE", self._path(message))

    async def presses(self, thread: Thread, run: dict[str, Any], label: str) -> Delivery | None:
        """Press a button of a check run."""
        (action,) = (one for one in run["actions"] if one["label"] == label)
        payload = {
            "action": "requested_action",
            "requested_action": {"identifier": action["identifier"]},
            "check_run": {**run, "pull_requests": []},
            "repository": await self.asks("GET", f"/repos/{thread.repository.name}"),
            "sender": await self.asks("GET", f"/users/{self.login}"),
        }
        payload["check_run"].pop("actions")
        return await self.github.hooks.deliver("check_run", payload)

    @staticmethod
    def _path(message: Message) -> str:
        group = "issues" if message.kind == "issue_comment" else "pulls"
        return f"/repos/{message.thread.repository.name}/{group}/comments/{message.id}"
