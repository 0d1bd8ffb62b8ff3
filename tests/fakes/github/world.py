"""What was said, as it stands now: the emulator's answers, noted as they pass by."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.github.eyes import mentions, shown
from tests.fakes.github.requests import Reply, Request

_MADE = {
    "issue_comment": re.compile(r"/repos/([^/]+/[^/]+)/issues/(\d+)/comments"),
    "review_comment": re.compile(r"/repos/([^/]+/[^/]+)/pulls/(\d+)/comments(?:/\d+/replies)?"),
    "review": re.compile(r"/repos/([^/]+/[^/]+)/pulls/(\d+)/reviews"),
}
_ONE = {
    "issue_comment": re.compile(r"/repos/([^/]+/[^/]+)/issues/comments/(\d+)"),
    "review_comment": re.compile(r"/repos/([^/]+/[^/]+)/pulls/comments/(\d+)"),
}
Key = tuple[str, str, int]
"""Repository, kind and id."""


@dataclass(kw_only=True)
class Words:
    """Something that was said."""

    repository: str
    kind: str
    number: int
    data: dict[str, Any]
    before: str = ""
    """The body before the last edit."""
    editor: str | None = None
    """Who made that."""

    @property
    def place(self) -> str:
        whole = f"{self.repository}#{self.number}"
        if self.kind != "review_comment":
            return whole
        return f"{whole}/r{self.data.get('in_reply_to_id') or self.data['id']}"

    @property
    def author(self) -> str:
        return str(self.data["user"]["login"])

    @property
    def text(self) -> str:
        return shown(self.data["body"])

    @property
    def mentions(self) -> list[str]:
        return mentions(self.data["body"])


@dataclass(kw_only=True)
class World:
    said: dict[Key, Words] = field(default_factory=dict)
    touched: dict[tuple[str, int], str] = field(default_factory=dict)
    """When something was last said in a pull request or issue."""
    reactions: dict[Key, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    lines: dict[tuple[str, int], list[dict[str, Any]]] = field(default_factory=dict)
    """By repository and review: what it says at lines of code."""
    lines_of_next: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Of the review that is just being submitted."""
    checks: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    """What the emulator forgets of a check run: its app and its buttons."""

    def thread(self, place: str) -> list[Words]:
        """What stands in a thread, in the order in which it was said."""
        return [words for words in self.said.values() if words.place == place]

    def numbers(self, repository: str, kind: str) -> set[int]:
        """Of the issues or pull requests in which something of a kind was ever said."""
        return {
            words.number
            for words in self.said.values()
            if (words.repository, words.kind) == (repository, kind)
        }

    def note(self, request: Request, reply: Reply) -> None:
        if reply.status >= 300:
            return
        match request.verb:
            case "POST":
                self._made(request, reply)
            case "PATCH" | "DELETE":
                self._changed(request, reply)

    def _made(self, request: Request, reply: Reply) -> None:
        for kind, pattern in _MADE.items():
            found = pattern.fullmatch(request.path)
            if found:
                repository, number = found[1], int(found[2])
                self.said[repository, kind, reply.data["id"]] = Words(
                    repository=repository, kind=kind, number=number, data=reply.data
                )
                when = reply.data.get("updated_at") or reply.data["submitted_at"]
                self.touched[repository, number] = when

    def _changed(self, request: Request, reply: Reply) -> None:
        for kind, pattern in _ONE.items():
            found = pattern.fullmatch(request.path)
            if found is None:
                continue
            key = (found[1], kind, int(found[2]))
            if request.verb == "DELETE":
                self.said.pop(key, None)
            elif key in self.said:
                self.said[key].before = self.said[key].data["body"]
                self.said[key].data = reply.data
                self.said[key].editor = request.actor.login
