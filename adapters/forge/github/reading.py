"""What was said on GitHub, in our words: the same, whether a webhook or a poll told of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from adapters.chat.incoming import Author, Heard, Reworded, Said, Spot, Standing, Withdrawn
from adapters.chat.port import Deadline, Gone
from adapters.forge.asking import asked
from adapters.forge.github.app import App, Ourselves
from adapters.forge.github.checks import CHECK, STOP
from adapters.forge.github.place import (
    REVIEW,
    REVIEW_COMMENT,
    REVIEWED,
    SURFACE,
    Place,
    web_address,
)
from adapters.forge.github.reviewing import reviewed
from adapters.forge.port import BRANCHES

log = structlog.get_logger(__name__)

ASK_SECONDS = 8.0
"""GitHub waits ten seconds for our answer to a webhook."""


@dataclass(frozen=True, kw_only=True)
class Comment:
    """A comment, an inline comment or the words of a review, as it is now."""

    kind: str
    id: int
    place: Place
    user: Mapping[str, Any]
    """Its author, as the API has it."""
    body: str
    node: str
    """The id that GraphQL knows it by."""
    edited: bool = False
    deleted: bool = False
    before: str = ""
    """The body before it was edited, where that is known."""
    editor: int | None = None
    """Id of the account that edited it, where that is known."""
    by_app: int | None = None
    """Id of the app that it was written through."""
    foreign: bool | None = None
    """Whether it is about code from elsewhere; None: that has to be asked."""
    branch: str = ""
    """Of a review: the branch of this repository that it is about."""
    state: str = ""
    """Of a review: `approved`, `changes_requested`, `commented`."""

    @property
    def key(self) -> str:
        """The message's key and ref."""
        return f"{self.kind}/{self.id}"


@dataclass(frozen=True, kw_only=True)
class Pressed:
    """Somebody pressed the button of a check run."""

    place: Place
    user: Mapping[str, Any]
    app: int
    """Id of the app whose check run it is."""
    run: int
    mark: str


def comment_of(kind: str, place: Place, entry: Mapping[str, Any], **more: Any) -> Comment | None:
    """A comment as the API has it; None: its author has no account any more.

    :raises KeyError, TypeError, ValueError: it is none
    """
    if entry["user"] is None:
        return None
    through = entry.get("performed_via_github_app")
    if kind == REVIEW_COMMENT:
        root = int(entry.get("in_reply_to_id") or entry["id"])
        place = Place(place.repository, place.number, root)
    return Comment(
        kind=kind,
        id=int(entry["id"]),
        place=place,
        user=entry["user"],
        body=str(entry["body"] or ""),
        node=str(entry["node_id"]),
        by_app=None if through is None else int(through["id"]),
        **more,
    )


def branch_of(pull: Mapping[str, Any]) -> str:
    """The branch that a pull request, as the API has it, is from; empty: it is elsewhere."""
    return "" if is_foreign(pull) else str(pull["head"]["ref"])


def is_foreign(pull: Mapping[str, Any]) -> bool:
    """Whether a pull request, as the API has it, is from another repository, or a deleted one."""
    head = pull["head"]["repo"]
    return head is None or head["id"] != pull["base"]["repo"]["id"]


def _is_new_review(comment: Comment) -> bool:
    """Whether it is the review of a session's own branch, as it was submitted."""
    is_new = not comment.edited and not comment.deleted
    return is_new and comment.kind == REVIEW and comment.branch.startswith(BRANCHES)


def author_of(
    user: Mapping[str, Any], us: Ourselves, host: str, *, by_app: int | None = None
) -> Author:
    """Somebody, as the API has them. :raises KeyError: it is nobody"""
    ours = by_app == us.id or user["login"] == us.login
    standing: Standing = "bot" if ours or user.get("type") == "Bot" else "member"
    return Author(account=host, id=str(user["id"]), name=str(user["login"]), standing=standing)


class Reader:
    """Reads what was said on one GitHub."""

    def __init__(self, app: App, *, mention: str, forks: bool = False) -> None:
        """`mention` is what people call us, behind a slash.

        :param forks: who may ask us may do so in pull requests from forks too
        """
        self._app = app
        self._mention = mention
        self._forks = forks
        self._web = web_address(app.api_url)
        self._host = self._web.partition("://")[2]

    async def comment(
        self, comment: Comment, delivery: str, *, asked_before: bool = False
    ) -> list[Heard]:
        """What a comment says to us, in the order in which it is to be heard.

        :param asked_before: it asked us when it was heard last, whatever it said then
        :raises ChatError: GitHub can't be asked
        """
        us = await self._app.ourselves(Deadline.after(ASK_SECONDS))
        author = self._author(comment.user, us, by_app=comment.by_app)
        text = self._asked(comment.body, us)
        asked_before = asked_before or self._asked(comment.before, us) is not None
        if text is None and not asked_before and _is_new_review(comment):
            return await self._review(comment, author, delivery)
        withdrawn = text is None and asked_before
        if withdrawn or (comment.deleted and text is not None):
            spot = self._spot(comment.place, foreign=False)
            return [Withdrawn(spot=spot, author=author, key=comment.key)]
        if text is None or comment.deleted:
            return []
        foreign = False
        if author.standing != "bot":
            if comment.edited and not await self._is_own_edit(comment):
                log.info("github_edit_of_another_ignored", key=comment.key)
                return []
            foreign = await self._is_foreign(comment)
        spot = self._spot(comment.place, foreign=foreign)
        said = Said(
            spot=spot,
            author=author,
            delivery=delivery,
            key=comment.key,
            ref=comment.key,
            text=text,
            to_us=True,
        )
        reworded = Reworded(spot=spot, author=author, key=comment.key, text=text)
        return [said, reworded] if comment.edited else [said]

    async def _review(self, comment: Comment, author: Author, delivery: str) -> list[Heard]:
        """What a review of a session's own branch says: all of it at once, as one prompt.

        It need not name us: whom else could it be meant for? What does, at a line of code, is
        heard by itself.
        """
        if author.standing == "bot":
            return []
        us = await self._app.ourselves(Deadline.after(ASK_SECONDS))
        to = comment.place
        path = f"/pulls/{to.number}/reviews/{comment.id}/comments"
        entries = self._app.entries(Deadline.after(ASK_SECONDS), to.repository, path)
        lines = [one async for one in entries if self._asked(str(one["body"] or ""), us) is None]
        text = reviewed(comment.state, comment.body, lines)
        if not text:
            return []
        said = Said(
            spot=replace(self._spot(to, foreign=False), branch=comment.branch),
            author=author,
            delivery=delivery,
            key=f"{REVIEWED}/{comment.id}",
            ref=comment.key,
            text=text,
            to_us=True,
            begins=False,
        )
        return [said]

    async def pressed(self, pressed: Pressed, delivery: str) -> list[Heard]:
        """What a button says. :raises ChatError: GitHub can't be asked"""
        us = await self._app.ourselves(Deadline.after(ASK_SECONDS))
        if pressed.app != us.id:
            return []
        key = f"{CHECK}/{pressed.run}/{delivery}"
        said = Said(
            spot=self._spot(pressed.place, foreign=False),
            author=self._author(pressed.user, us),
            delivery=delivery,
            key=key,
            ref="",
            text=STOP,
            to_us=True,
            pressed=True,
            post=f"{CHECK}/{pressed.mark}",
        )
        return [said]

    def _asked(self, body: str, us: Ourselves) -> str | None:
        return asked(body, (f"/{self._mention}", f"@{us.slug}"))

    def _author(self, user: Mapping[str, Any], us: Ourselves, by_app: int | None = None) -> Author:
        return author_of(user, us, self._host, by_app=by_app)

    def _spot(self, place: Place, *, foreign: bool) -> Spot:
        return Spot(
            surface=SURFACE,
            channel=place.repository,
            place=str(place),
            within="" if place.root is None else str(place.whole),
            repository=f"{self._web}/{place.repository}.git",
            foreign=foreign and not self._forks,
        )

    async def _is_foreign(self, comment: Comment) -> bool:
        if self._forks or comment.foreign is not None:
            return bool(comment.foreign)
        to = comment.place
        deadline = Deadline.after(ASK_SECONDS)
        try:
            pull = await self._app.call(deadline, to.repository, "GET", f"/pulls/{to.number}")
        except Gone:
            # An issue: it is about the code that is here.
            return False
        return is_foreign(pull.data)

    async def _is_own_edit(self, comment: Comment) -> bool:
        """Whether the author edited it: who may write to a repository may edit what others say."""
        if comment.editor is not None:
            return comment.editor == int(comment.user["id"])
        deadline = Deadline.after(ASK_SECONDS)
        try:
            editor = await self._app.editor(deadline, comment.place.repository, comment.node)
        except Gone:
            return False
        # Nobody: it was changed in some other way.
        return editor in (None, comment.user["login"])
