"""How a reply gets to a merge request or an issue of GitLab.

Our mark is a hidden comment at the end of the note; `find` counts it only in notes of ours. For the
places see `places`, for running turns `statuses`.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.chat.dialect import Markdown
from adapters.chat.own_words import Say, as_it_is
from adapters.chat.port import (
    AfterUncertain,
    Content,
    Deadline,
    Gone,
    Limits,
    Rate,
    Rejected,
    Sign,
    Unavailable,
)
from adapters.forge.gitlab.bodies import compose, mentions
from adapters.forge.gitlab.client import Client
from adapters.forge.gitlab.levels import DEVELOPER, GUEST, MAINTAINER, REPORTER
from adapters.forge.gitlab.places import Place, project_path
from adapters.forge.gitlab.statuses import Statuses
from adapters.forge.gitlab.urls import repository_name
from adapters.forge.markdown import escape
from adapters.forge.marks import Marks
from adapters.forge.port import Permission

SURFACE = "gitlab"
TEXT_LENGTH_MAX = 60_000
"""GitLab takes 1,000,000 characters, which no browser shows well and no person reads; so many fit
into a comment of any forge."""
EDIT_SECONDS = 15.0
LOOK_BACK = timedelta(hours=2)
RATES = {
    # gitlab.com lets a user make 60 notes in any minute; others 300, unless told otherwise.
    "post": Rate(burst=15, per_second=0.7),
    # Beside that there is only what a user may ask in all, 2,000 requests a minute.
    "edit": Rate(burst=20, per_second=4),
    "find": Rate(burst=10, per_second=2),
    "react": Rate(burst=20, per_second=4),
}
SIGNS = {
    Sign.SEEN: "eyes",
    Sign.WAITING: "raised_hand",
    Sign.FAILED: "x",
    Sign.REFUSED: "confused",
}


class GitLabForge:
    """The conversations of one GitLab, over its REST API."""

    dialect = Markdown()
    limits = Limits(
        text_length_max=TEXT_LENGTH_MAX,
        after_uncertain=AfterUncertain.LOOK_UP,
        rates=RATES,  # type: ignore[arg-type]
        live="aside",
        aside="commit status",
        edit_seconds=EDIT_SECONDS,
    )

    def __init__(self, client: Client, marks: Marks, *, say: Say = as_it_is) -> None:
        """`say` says what we say ourselves in a language."""
        self._client = client
        self._marks = marks
        self._statuses = Statuses(client, say)
        self.host = client.host
        self.web = client.url

    def installation(self, place: str) -> str:
        """The one user that we are there: GitLab's limits are per user."""
        return self.host

    def escape(self, text: str, *, code: bool) -> str:
        """See `adapters.forge.markdown.escape`."""
        return escape(text, code=code)

    async def post(self, place: str, content: Content, mark: str, deadline: Deadline) -> str:
        """Make a note, whose ref is its id, or set the state of a turn, which may be repeated."""
        to = Place.read(place)
        if content.live is not None:
            return await self._statuses.begin(to, content, mark, deadline)
        _check(content)
        body = compose(content, mentioned=content.notify, stamp=self._marks.stamp(mark))
        if to.discussion:
            path = f"{to.path}/discussions/{to.discussion}/notes"
            return _ref(await self._client.post(path, deadline, body=body))
        if to.internal:
            return await self._post_internal(to, body, deadline)
        return _ref(await self._client.post(f"{to.path}/notes", deadline, body=body))

    async def edit(self, place: str, ref: str, content: Content, deadline: Deadline) -> None:
        """Change our note, whose mark stays, or the state; nobody new is told."""
        to = Place.read(place)
        if content.live is not None:
            await self._statuses.change(to, ref, content, deadline)
            return
        _check(content)
        path = f"{to.path}/notes/{_number(ref)}"
        before = str((await self._client.get(path, deadline)).data["body"])
        mark = self._marks.read(before)
        body = compose(
            content,
            mentioned=content.notify if mentions(before, content.notify) else "",
            stamp=self._marks.stamp(mark) if mark else "",
        )
        await self._client.put(path, deadline, body=body)

    async def find(self, place: str, mark: str, deadline: Deadline) -> str | None:
        """Read the newest notes of the merge request or issue, a page after the other."""
        to = Place.read(place)
        us = await self._client.ourselves(deadline)
        newest_first = {"order_by": "created_at", "sort": "desc"}
        async for page in self._client.pages(f"{to.path}/notes", deadline, **newest_first):
            for note in page.data:
                if note["author"]["id"] == us.id and self._marks.read(note["body"]) == mark:
                    return str(note["id"])
            if page.data and _made(page.data[-1]) < page.at - LOOK_BACK:
                break
        return None

    async def react(self, place: str, ref: str, sign: Sign | None, deadline: Deadline) -> None:
        """Set our award on a note and take our others away."""
        to, us = Place.read(place), await self._client.ourselves(deadline)
        path = f"{to.path}/notes/{_number(ref)}/award_emoji"
        wanted = SIGNS[sign] if sign is not None else ""
        ours: dict[str, int] = {}
        async for page in self._client.pages(path, deadline):
            ours |= {
                one["name"]: one["id"]
                for one in page.data
                if one["user"]["id"] == us.id and one["name"] in SIGNS.values()
            }
        if wanted and wanted not in ours:
            await self._award(path, wanted, deadline)
        for name, award in ours.items():
            if name != wanted:
                await self._take_back(f"{path}/{award}", deadline)

    async def permission(self, repository: str, account: str, deadline: Deadline) -> Permission:
        """By the level of access, inherited ones too; who is no member may read what is public.

        :raises Rejected: `account` is no id of GitLab
        """
        path = project_path(repository)
        try:
            project = (await self._client.get(path, deadline)).data
        except Gone:
            return Permission.NONE
        outside = Permission.NONE if project["visibility"] == "private" else Permission.READ
        try:
            member = f"{path}/members/all/{_number(account)}"
            found = (await self._client.get(member, deadline)).data
        except Gone:
            return outside
        return _permission(found, outside)

    def repository(self, url: str) -> str | None:
        """See `urls.repository_name`."""
        return repository_name(url, self._client.url)

    async def _post_internal(self, to: Place, body: str, deadline: Deadline) -> str:
        """Make an internal note, or none.

        GitLab makes it a note for everybody where we may not make internal ones: that is asked
        before, and what slipped through is taken back.
        """
        us = await self._client.ourselves(deadline)
        member = f"{project_path(to.project)}/members/all/{us.id}"
        try:
            level = int((await self._client.get(member, deadline)).data["access_level"])
        except Gone:
            level = 0
        if level < REPORTER:
            raise Rejected("internal notes need the role Reporter, which we don't have here")
        made = await self._client.post(f"{to.path}/notes", deadline, body=body, internal=True)
        ref = _ref(made)
        if not (made.get("internal") or made.get("confidential")):
            await self._client.delete(f"{to.path}/notes/{ref}", deadline)
            raise Rejected("GitLab did not keep the note internal")
        return ref

    async def _award(self, path: str, name: str, deadline: Deadline) -> None:
        try:
            await self._client.post(path, deadline, name=name)
        except (Gone, Unavailable, Rejected) as error:
            # 404 by the documentation, 409 or 400 by reason: an earlier try of ours did it.
            if "already been taken" not in str(error):
                raise

    async def _take_back(self, path: str, deadline: Deadline) -> None:
        with suppress(Gone):
            await self._client.delete(path, deadline)


def _check(content: Content) -> None:
    if len(content.text) > TEXT_LENGTH_MAX:
        raise Rejected(f"the text has {len(content.text)} characters, {TEXT_LENGTH_MAX} fit")


def _ref(made: Mapping[str, Any]) -> str:
    if "id" not in made:
        raise Rejected("GitLab made no note of it")
    return str(made["id"])


def _number(ref: str) -> int:
    if not ref.isascii() or not ref.isdigit():
        raise Rejected(f"{ref!r} is no id of GitLab")
    return int(ref)


def _made(note: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(note["created_at"]).astimezone(UTC)


def _permission(member: Mapping[str, Any], outside: Permission) -> Permission:
    level = int(member["access_level"])
    if member.get("state", "active") != "active":
        return Permission.NONE
    if level >= MAINTAINER:
        return Permission.ADMIN
    if level >= DEVELOPER:
        return Permission.WRITE
    return Permission.READ if level >= GUEST else outside
