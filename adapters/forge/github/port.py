"""How a reply gets to a thread of GitHub, once.

Our mark is a hidden comment at the end of a post; `find` counts it only in posts that we are the
author of. Refs are `issue_comment/ID` and `review_comment/ID`, and `check_run/MARK` for the state
of a turn, which moves from one check run to the next as the pull request gets new commits.
"""

import re
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

from adapters.chat.dialect import Markdown
from adapters.chat.own_words import Say, as_it_is
from adapters.chat.port import (
    AfterUncertain,
    Button,
    Content,
    Deadline,
    Gone,
    Limits,
    Method,
    Rate,
    Rejected,
    Sign,
)
from adapters.forge.github.app import App
from adapters.forge.github.checks import CHECK, Checks
from adapters.forge.github.people import People
from adapters.forge.github.place import (
    ISSUE_COMMENT,
    REVIEW,
    REVIEW_COMMENT,
    Place,
    repository_of,
    stamp_of,
    web_address,
)
from adapters.forge.markdown import escape
from adapters.forge.marks import STAMP_LENGTH_MAX, Marks
from adapters.forge.port import NOT_SHOWN, Permission

BODY_LENGTH_MAX = 65_536
LINKS_LENGTH_MAX = 4_000
TEXT_LENGTH_MAX = BODY_LENGTH_MAX - STAMP_LENGTH_MAX - LINKS_LENGTH_MAX - 150
"""What stays for the text beside the mark, a mention and links."""
LOOK_BACK_SECONDS = 2 * 3600
LOGIN = re.compile(r"[\w-]{1,100}", re.ASCII)
SIGNS = {Sign.SEEN: "eyes", Sign.WAITING: "eyes", Sign.FAILED: "-1", Sign.REFUSED: "confused"}
"""Of GitHub's eight, none says: this waits for somebody. `eyes` is no lie, and the thread, which
asks for the person by name, says the rest."""
RATES: Mapping[Method, Rate] = {
    # GitHub bears 80 requests that make content a minute and 500 an hour, in an account's
    # installation: what these allow together is 57 and 482.
    "post": Rate(burst=20, per_second=0.04),
    "edit": Rate(burst=20, per_second=0.06),
    "react": Rate(burst=10, per_second=0.02),
    # Reading alone: 5,000 an hour and more.
    "find": Rate(burst=20, per_second=0.5),
}
URL_SAFE = "/:?#[]@!$&'()*+,;=%-._~"
_LISTS = {ISSUE_COMMENT: "/issues/comments", REVIEW_COMMENT: "/pulls/comments"}


class GitHubForge:
    """The conversations on a GitHub."""

    dialect = Markdown()
    limits = Limits(
        text_length_max=TEXT_LENGTH_MAX,
        after_uncertain=AfterUncertain.LOOK_UP,
        rates=RATES,
        live="aside",
        aside="check run",
        edit_seconds=20.0,
    )

    def __init__(self, app: App, marks: Marks, *, say: Say = as_it_is) -> None:
        """`app` is shared with what listens; `say` says what we say ourselves in a language."""
        self._app = app
        self._marks = marks
        self._checks = Checks(app, say)
        self._people = People(app)
        self.web = web_address(app.api_url)
        self.host = self.web.partition("://")[2]

    def installation(self, place: str) -> str:
        """The account whose repository it is: each has its own installation of the app."""
        return Place.read(place).owner.casefold()

    def escape(self, text: str, *, code: bool) -> str:
        """See `adapters.forge.markdown.escape`."""
        return escape(text, code=code)

    async def post(self, place: str, content: Content, mark: str, deadline: Deadline) -> str:
        """Comment, or answer in the inline thread; the state of a turn is a check run."""
        to = Place.read(place)
        _check(content)
        if content.live is not None:
            return await self._checks.create(to, content, mark, deadline)
        body = {"body": await self._body(to, content, self._marks.stamp(mark), deadline)}
        path = f"/issues/{to.number}/comments"
        if to.root is not None:
            path = f"/pulls/{to.number}/comments/{to.root}/replies"
        made = await self._app.call(deadline, to.repository, "POST", path, body=body)
        return _ref(to, made.data)

    async def edit(self, place: str, ref: str, content: Content, deadline: Deadline) -> None:
        """Edit the comment, its mark kept, or the check run."""
        to = Place.read(place)
        _check(content)
        if ref == NOT_SHOWN:
            return
        kind, key = read_ref(ref)
        if kind == CHECK:
            await self._checks.update(to, key, content, deadline)
            return
        path = f"{_entries(kind)}/{key}"
        before = (await self._app.call(deadline, to.repository, "GET", path)).data
        mark = self._marks.read(before.get("body") or "")
        stamp = "" if mark is None else self._marks.stamp(mark)
        body = {"body": await self._body(to, content, stamp, deadline)}
        await self._app.call(deadline, to.repository, "PATCH", path, body=body)

    async def find(self, place: str, mark: str, deadline: Deadline) -> str | None:
        """Look through the newer comments, then through the checks of the newest commits."""
        to = Place.read(place)
        us = await self._app.ourselves(deadline)
        since = datetime.fromtimestamp(time.time() - LOOK_BACK_SECONDS, UTC)
        list_ = f"/{'issues' if to.root is None else 'pulls'}/{to.number}/comments"
        query = {"since": stamp_of(since)}
        async for comment in self._app.entries(deadline, to.repository, list_, query=query):
            if us.wrote(comment) and self._marks.read(comment.get("body") or "") == mark:
                return _ref(to, comment)
        return await self._checks.find(to, mark, deadline)

    async def react(self, place: str, ref: str, sign: Sign | None, deadline: Deadline) -> None:
        """Set our reaction and take the others away; a review bears none."""
        to = Place.read(place)
        kind, key = read_ref(ref)
        if kind == REVIEW:
            return
        us = await self._app.ourselves(deadline)
        path = f"{_entries(kind)}/{key}/reactions"
        wanted = None if sign is None else SIGNS[sign]
        if wanted is not None:
            body = {"content": wanted}
            await self._app.call(deadline, to.repository, "POST", path, body=body)
        entries = self._app.entries(deadline, to.repository, path)
        ours = [reaction async for reaction in entries if us.wrote(reaction)]
        for reaction in ours:
            if reaction["content"] != wanted:
                await self._take_away(to, f"{path}/{reaction['id']}", deadline)

    async def permission(self, repository: str, account: str, deadline: Deadline) -> Permission:
        """Ask for what the account may do, by the login that it has today."""
        return await self._people.permission(repository, account, deadline)

    def repository(self, url: str) -> str | None:
        """The repository's `owner/name`, whatever way of cloning the address is for."""
        return repository_of(url, self.web)

    async def _take_away(self, to: Place, path: str, deadline: Deadline) -> None:
        with suppress(Gone):
            await self._app.call(deadline, to.repository, "DELETE", path)

    async def _body(self, to: Place, content: Content, stamp: str, deadline: Deadline) -> str:
        mention = await self._mention(to, content.notify, deadline)
        text = f"{mention}{content.text}"
        links = [_link(button) for button in content.buttons if button.url]
        while links and sum(map(len, links)) > LINKS_LENGTH_MAX:
            links.pop()
        return "\n\n".join(part for part in (text, "\n".join(links), stamp) if part)

    async def _mention(self, to: Place, people: str, deadline: Deadline) -> str:
        """What notifies people, who are named by their accounts' ids or by their logins."""
        logins: list[str] = []
        for person in people.split(","):
            login: str | None = person
            if person.isdecimal():
                login = await self._people.login(to.repository, person, deadline)
            if login and LOGIN.fullmatch(login):
                logins.append(f"@{login}")
        # On a line of its own: the text may begin with a block.
        return " ".join(logins) + "\n\n" if logins else ""


def read_ref(ref: str) -> tuple[str, str]:
    """The kind and id of a message or post. :raises Rejected: it is none of GitHub's."""
    kind, _, key = ref.partition("/")
    if not key or (kind != CHECK and not key.isdecimal()):
        raise Rejected(f"{ref!r} is no message of GitHub")
    return kind, key


def _ref(to: Place, comment: Mapping[str, Any]) -> str:
    return f"{ISSUE_COMMENT if to.root is None else REVIEW_COMMENT}/{comment['id']}"


def _entries(kind: str) -> str:
    """Where the comments of a kind are. :raises Rejected: there is no such kind."""
    if kind not in _LISTS:
        raise Rejected(f"{kind!r} is no kind of comment")
    return _LISTS[kind]


def _check(content: Content) -> None:
    if len(content.text) > TEXT_LENGTH_MAX:
        raise Rejected(f"the text has {len(content.text)} characters, {TEXT_LENGTH_MAX} fit")


def _link(button: Button) -> str:
    if urlsplit(button.url).scheme not in ("http", "https"):
        return ""
    return f"[{escape(button.label, code=False)}](<{quote(button.url, safe=URL_SAFE)}>)"
