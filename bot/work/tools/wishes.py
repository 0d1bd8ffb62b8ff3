"""The agent's tools for its pull request: its wish is kept, delivery carries it out later."""

from typing import Any

from pydantic import Field

from bot.errors import Refused
from bot.work import wishes
from bot.work.tools.calls import Desk, Entry, check_length
from bot.work.tools.tool import Arguments, Call, Tool

TITLE_CHARACTERS_MAX = 200
BODY_CHARACTERS_MAX = 20_000
WISHES_MAX = 20
"""Of one turn."""
OPEN_PULL_REQUEST = (
    "Say what the pull request (or merge request) of this session shall be called and say. It is"
    " opened after your turn ends: don't push or open one yourself."
)
UPDATE_PULL_REQUEST = (
    "Change title, body or draft of this session's pull request, after your turn ends."
)
REPOSITORY = "one beside the project's own, by its name; left out: the project's own"
KEPT = (
    "Kept. After this turn ona commits and pushes what is in the working tree, and opens or updates"
    " the pull request of this session with it, as far as the project's policy lets it."
)


READY = "false: it is ready for review; where the project's policy wants drafts, people say so"


class OpenPullRequest(Arguments):
    """Arguments of `open_pull_request`."""

    title: str = Field(description="what changes, in one line")
    body: str = Field(description="Markdown: what changes, why, how it was tested")
    draft: bool | None = Field(default=None, description="left out: as the project's policy says")
    repository: str = Field(default="", description=REPOSITORY)


class UpdatePullRequest(Arguments):
    """Arguments of `update_pull_request`."""

    title: str | None = Field(default=None, description="left out: it stays")
    body: str | None = Field(default=None, description="Markdown; left out: it stays")
    draft: bool | None = Field(default=None, description=READY)
    repository: str = Field(default="", description=REPOSITORY)


class Wishes:
    """The tools of this group."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def tools(self) -> list[Tool[Any]]:
        """As agents are told of them."""
        return [
            Tool(
                name="open_pull_request",
                about=OPEN_PULL_REQUEST,
                takes=OpenPullRequest,
                run=self.open_pull_request,
                per_turn_max=WISHES_MAX,
                reaches_out=True,
            ),
            Tool(
                name="update_pull_request",
                about=UPDATE_PULL_REQUEST,
                takes=UpdatePullRequest,
                run=self.update_pull_request,
                per_turn_max=WISHES_MAX,
                reaches_out=True,
            ),
        ]

    async def open_pull_request(self, call: Call, given: OpenPullRequest) -> str:
        """Wish for one with this title and body."""
        async with self._desk.begin(call) as entry:
            await _wish(call, entry, given)
        return KEPT

    async def update_pull_request(self, call: Call, given: UpdatePullRequest) -> str:
        """Wish for something else of it."""
        if given.title is None and given.body is None and given.draft is None:
            raise Refused("nothing is to be changed")
        async with self._desk.begin(call) as entry:
            await _wish(call, entry, given)
        return KEPT


async def _wish(call: Call, entry: Entry, given: OpenPullRequest | UpdatePullRequest) -> None:
    """Keep it. :raises TellPerson: it can't be so, or nothing of this session leaves it"""
    if entry.asker.private:
        raise Refused("this session is private: nothing of it is pushed")
    title, body, draft = given.title, given.body, given.draft
    if title is not None:
        title = " ".join(check_length("title", title, TITLE_CHARACTERS_MAX).split())
    if body is not None:
        body = check_length("body", body, BODY_CHARACTERS_MAX)
    entry.facts |= {"title": title or "", "draft": draft, "repository": given.repository}
    await wishes.put(
        entry.tx,
        call.turn.session_id,
        call.turn.turn_id,
        repository=entry.asker.repository(given.repository),
        title=title,
        body=body,
        draft=draft,
    )
