"""Notes and awards, whichever way we came to know of them, turned into what was said.

A webhook and the poll make the same `Note` of a note, so that both say the same of it, under the
same key. A request that its author edits away is withdrawn; for deleted ones see `rereading`.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from adapters.chat.incoming import Author, Heard, Reacted, Reworded, Said, Spot, Standing, Withdrawn
from adapters.chat.port import Deadline, Gone, Rejected
from adapters.forge.asking import asked
from adapters.forge.gitlab.client import Client
from adapters.forge.gitlab.places import Kind, Place, project_path
from adapters.forge.gitlab.port import SURFACE
from adapters.forge.gitlab.reviewing import reviewed
from adapters.forge.port import BRANCHES

ASK_SECONDS = 10.0
STOP_EMOJI = frozenset(
    {"hand", "hand_splayed", "octagonal_sign", "raised_hand", "stop_button", "stop_sign", "x"}
)
NAMES = ("/ona",)
_BOT = re.compile(r"(project|group)_\d+_bot(_?[0-9a-f]+)?|service_account_[0-9a-z_]+")
"""Usernames that GitLab makes for the users of tokens and for service accounts; an old GitLab does
not tell with a user whether it is one."""


@dataclass(frozen=True, kw_only=True)
class Note:
    """A note on a merge request or an issue, in one of its wordings."""

    project: str
    clone_url: str
    kind: Kind
    iid: int
    id: int
    author_id: int
    author_name: str
    body: str = field(repr=False)
    delivery: str
    discussion: str = ""
    """Where it may be answered; empty for one that stands alone."""
    is_internal: bool = False
    is_confidential: bool = False
    """The issue is."""
    branch: str = ""
    """Of a merge request: the branch that it asks to be merged."""
    is_from_fork: bool = False
    is_new: bool = True
    """It may ask us something that we have not heard yet."""
    is_edited: bool = False


@dataclass(frozen=True, kw_only=True)
class Award:
    """An emoji that somebody awarded to a note."""

    project: str
    id: int
    name: str
    user_id: int
    user_name: str
    note_id: int
    note_author_id: int


def is_review(note: Note) -> bool:
    """Whether it may begin a thread about a session's own branch. Its edits are not heard."""
    return (
        note.kind == "merge_requests"
        and note.branch.startswith(BRANCHES)
        and bool(note.discussion)
        and note.is_new
        and not (note.is_edited or note.is_internal or note.is_from_fork)
    )


class Reader:
    """Reads notes and awards of one GitLab."""

    def __init__(
        self,
        client: Client,
        *,
        names: Sequence[str] = NAMES,
        bots: Collection[str] = (),
        forks: bool = False,
    ) -> None:
        """`names` are what we are called, beside the username of our own user.

        :param bots: usernames of accounts that are bots, though GitLab takes them for people
        :param forks: whether requests on merge requests from forks are taken
        """
        self._client = client
        self._names = tuple(names)
        self._bots = frozenset(name.lstrip("@").casefold() for name in bots)
        self._forks = forks

    async def request(self, body: str) -> str | None:
        """What a note asks of us; None: nothing. :raises ChatError: GitLab can't be asked"""
        us = await self._client.ourselves(Deadline.after(ASK_SECONDS))
        return asked(body, (*self._names, f"@{us.username}"))

    async def note(self, note: Note) -> list[Heard]:
        """What a note says, in order. :raises ChatError: GitLab can't be asked"""
        us = await self._client.ourselves(Deadline.after(ASK_SECONDS))
        request = await self.request(note.body)
        if request is None and is_review(note):
            return await self._review(note)
        heard: list[Heard] = []
        if request is None and (not note.is_edited or note.author_id == us.id):
            return heard
        spot, key = self._spot(note), f"note/{note.id}"
        author = await self._author(note.author_id, note.author_name)
        if request is None:
            return [Withdrawn(spot=spot, author=author, key=key)]
        if note.is_new:
            heard.append(
                Said(
                    spot=spot,
                    author=author,
                    delivery=note.delivery,
                    key=key,
                    ref=str(note.id),
                    text=request,
                    to_us=True,
                )
            )
        if note.is_edited:
            heard.append(Reworded(spot=spot, author=author, key=key, text=request))
        return heard

    async def _review(self, note: Note) -> list[Heard]:
        """What begins a thread of a review of a session's own branch, as a prompt of it.

        It need not name us: whom else could it be meant for? Answers in the thread do.
        """
        author = await self._author(note.author_id, note.author_name)
        if author.standing != "member":
            return []
        path = f"{project_path(note.project)}/{note.kind}/{note.iid}/discussions/{note.discussion}"
        try:
            thread = await self._client.get(path, Deadline.after(ASK_SECONDS))
        except Gone:
            return []
        text = reviewed(note.id, thread.data["notes"])
        if not text:
            return []
        whole = replace(note, discussion="")
        return [
            Said(
                spot=replace(self._spot(whole), branch=note.branch),
                author=author,
                delivery=note.delivery,
                key=f"reviewed/{note.id}",
                ref=str(note.id),
                text=text,
                to_us=True,
                begins=False,
            )
        ]

    async def award(self, award: Award) -> Reacted | None:
        """What an award says; None: nothing. :raises ChatError: GitLab can't be asked

        Beside our own notes it may stand at what somebody asked themselves: before the end of the
        first turn there is nothing else. Whether that is so is not ours to know.
        """
        us = await self._client.ourselves(Deadline.after(ASK_SECONDS))
        is_heard = award.note_author_id in {us.id, award.user_id} and award.user_id != us.id
        if not is_heard or award.name not in STOP_EMOJI:
            return None
        return Reacted(
            surface=SURFACE,
            channel=award.project,
            shared=False,
            author=await self._author(award.user_id, award.user_name),
            delivery=f"award/{award.id}",
            ref=str(award.note_id),
        )

    def _spot(self, note: Note) -> Spot:
        place = Place(
            project=note.project,
            kind=note.kind,
            iid=note.iid,
            discussion=note.discussion,
            internal=note.is_internal,
        )
        return Spot(
            surface=SURFACE,
            channel=note.project,
            place=str(place),
            within=str(place.whole) if place.discussion else "",
            repository=note.clone_url,
            narrow=note.is_internal or note.is_confidential,
            foreign=note.is_from_fork and not self._forks,
        )

    async def _author(self, user_id: int, username: str) -> Author:
        return await author_of(self._client, user_id, username, self._bots)


async def author_of(client: Client, user_id: int, username: str, bots: Collection[str]) -> Author:
    """Somebody. :raises ChatError: GitLab can't be asked whether it is a bot"""
    return Author(
        account=client.host,
        id=str(user_id),
        name=username,
        handle=username,
        standing=await _standing(client, user_id, username, bots),
    )


async def _standing(client: Client, user_id: int, username: str, bots: Collection[str]) -> Standing:
    us = await client.ourselves(Deadline.after(ASK_SECONDS))
    name = username.casefold()
    if user_id == us.id or name in bots or _BOT.fullmatch(name):
        return "bot"
    try:
        user = await client.user(user_id, Deadline.after(ASK_SECONDS))
    except (Gone, Rejected):
        return "stranger"
    return "bot" if user.is_bot else "member"
