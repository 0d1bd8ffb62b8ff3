"""How a reply gets to a thread of Slack.

Our mark is the message's metadata, which people don't see; `find` reads it back from the thread.
Places are `TEAM/CHANNEL/THREAD`; a direct message is one thread, its THREAD is empty.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from uuid import uuid4

import structlog
from slack_sdk.errors import SlackRequestError
from slack_sdk.web.async_client import AsyncWebClient

from adapters.chat.port import (
    AfterUncertain,
    Button,
    ChatError,
    Content,
    Deadline,
    Document,
    Gone,
    Limits,
    Part,
    Phase,
    Picture,
    Rate,
    Rejected,
    Sign,
    Unavailable,
)
from adapters.chat.slack.agents import WORKING_SECONDS, AgentSessions
from adapters.chat.slack.calls import call
from adapters.chat.slack.channels import channel_of
from adapters.chat.slack.markup import Signs, blocks, escape, fallback, home
from adapters.chat.slack.places import Place

log = structlog.get_logger(__name__)

SURFACE = "slack"
TEXT_LENGTH_MAX = 3_500
"""Slack advises at most 4,000 characters; a mention goes in front."""
EVENT = "ona_reply"
"""Type of our metadata."""
LOOK_BACK_SECONDS = 2 * 3600
PAGE = 200
WHISPER_SECONDS = 10.0
FORM_SECONDS = 2.5
PICTURES = frozenset({"image/png", "image/jpeg", "image/gif"})
"""What an image block shows."""
SIGNS = {
    Sign.SEEN: "eyes",
    Sign.WAITING: "raised_hand",
    Sign.FAILED: "x",
    Sign.REFUSED: "no_entry_sign",
}
_SAME = frozenset({"already_reacted", "no_reaction"})
RATES = {
    "post": Rate(burst=20, per_second=1),
    # Tier 3 is 50 a minute and more; all running turns of a workspace share it.
    "edit": Rate(burst=10, per_second=40 / 60),
    "find": Rate(burst=10, per_second=40 / 60),
    # Each may take one reaction away, which is Tier 2: 20 a minute.
    "react": Rate(burst=5, per_second=15 / 60),
    "title": Rate(burst=10, per_second=40 / 60),
    "phase": Rate(burst=10, per_second=40 / 60),
}


class SlackChat:
    """The chat of a workspace, over its Web API."""

    dialect = Signs()
    shows_pictures: Literal[True] = True
    shows_documents: Literal[True] = True
    shows_moments: Literal[True] = True
    limits = Limits(
        text_length_max=TEXT_LENGTH_MAX,
        after_uncertain=AfterUncertain.LOOK_UP,
        working_seconds=WORKING_SECONDS,
        rates=RATES,  # type: ignore[arg-type]
    )

    def __init__(self, client: AsyncWebClient) -> None:
        """`client` as made by `calls.client`: it must not try anything again by itself."""
        self._client = client
        self._agents = AgentSessions(client)
        self._user = ""
        """Our own id, once it was asked for."""

    def installation(self, place: str) -> str:
        """The workspace: Slack's limits are per app and workspace."""
        return Place.read(place).team

    def escape(self, text: str, *, code: bool) -> str:
        """See `markup.escape`."""
        return escape(text, code=code)

    async def post(self, place: str, content: Content, mark: str, deadline: Deadline) -> str:
        """Post in the thread; the ref is the message's timestamp."""
        _check(content)
        to = Place.read(place)
        if content.document is not None:
            return await self._share(to, content, content.document, mark, deadline)
        file = await self._upload(content.picture, deadline) if content.picture else None
        try:
            return await self._post(to, content, mark, file, deadline)
        except Rejected as error:
            if file is None:
                raise
            # Slack may still be looking at the picture; the words can do without.
            log.info("picture_not_shown", place=place, why=str(error))
            return await self._post(to, content, mark, None, deadline)

    async def _post(
        self, to: Place, content: Content, mark: str, file: str | None, deadline: Deadline
    ) -> str:
        posted = await call(
            deadline,
            lambda: self._client.chat_postMessage(
                channel=to.channel,
                thread_ts=to.thread or None,
                text=fallback(content),
                blocks=blocks(content, file=file),
                metadata={"event_type": EVENT, "event_payload": {"mark": mark}},
                unfurl_links=False,
                unfurl_media=False,
            ),
        )
        return str(posted["ts"])

    async def _share(
        self, to: Place, content: Content, document: Document, mark: str, deadline: Deadline
    ) -> str:
        """Post with a file beside: Slack shows one whose link stands in a message's text.

        Posted by the upload itself it would bear no mark, and could be posted twice.
        """
        try:
            kept = await call(
                deadline,
                lambda: self._client.files_upload_v2(
                    content=document.data, filename=document.name, title=document.name
                ),
            )
        except SlackRequestError as error:
            raise Unavailable(str(error)) from error
        link = f"<{kept['files'][0]['permalink']}|{document.name}>"
        posted = await call(
            deadline,
            lambda: self._client.chat_postMessage(
                channel=to.channel,
                thread_ts=to.thread or None,
                text=f"{fallback(content)}\n{link}",
                metadata={"event_type": EVENT, "event_payload": {"mark": mark}},
            ),
        )
        return str(posted["ts"])

    async def _upload(self, picture: Picture, deadline: Deadline) -> str | None:
        """Slack's id of the picture, which stands nowhere yet; None: Slack did not take it."""
        if picture.media_type not in PICTURES:
            return None
        try:
            kept = await call(
                deadline,
                lambda: self._client.files_upload_v2(
                    content=picture.data, filename=picture.name, alt_txt=picture.about
                ),
            )
        except (ChatError, SlackRequestError) as error:
            log.warning("picture_not_taken", why=str(error))
            return None
        return str(kept["files"][0]["id"])

    async def edit(self, place: str, ref: str, content: Content, deadline: Deadline) -> None:
        """Edit the message; its metadata stays."""
        _check(content)
        to = Place.read(place)
        await call(
            deadline,
            lambda: self._client.chat_update(
                channel=to.channel, ts=ref, text=fallback(content), blocks=blocks(content)
            ),
        )

    async def find(self, place: str, mark: str, deadline: Deadline) -> str | None:
        """Read the thread's newer messages, a page after the other.

        Any app may copy our mark: it counts only in what we have posted.
        """
        to, us = Place.read(place), await self._ourselves(deadline)
        cursor = ""
        while True:
            page = await call(deadline, lambda: self._page(to, cursor))  # noqa: B023
            for message in page["messages"]:
                if message.get("user") == us and _mark(message) == mark:
                    return str(message["ts"])
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return None

    async def _page(self, to: Place, cursor: str) -> Any:
        where = {
            "channel": to.channel,
            "include_all_metadata": True,
            "oldest": f"{time.time() - LOOK_BACK_SECONDS:.6f}",
            "limit": PAGE,
            "cursor": cursor or None,
        }
        if to.thread:
            return await self._client.conversations_replies(ts=to.thread, **where)  # type: ignore[arg-type]
        return await self._client.conversations_history(**where)  # type: ignore[arg-type]

    async def react(self, place: str, ref: str, sign: Sign | None, deadline: Deadline) -> None:
        """Set our reaction and take away what else of ours stands there.

        Reading bears more requests than taking away does, of which a workspace has 20 a minute.
        """
        to = Place.read(place)
        wanted = None if sign is None else SIGNS[sign]
        ours = await self._reactions(to, ref, deadline)
        if wanted is not None and wanted not in ours:
            await self._reaction(self._client.reactions_add, to, ref, wanted, deadline)
        for name in sorted(ours & set(SIGNS.values()) - {wanted}):
            await self._reaction(self._client.reactions_remove, to, ref, name, deadline)

    async def _reactions(self, to: Place, ref: str, deadline: Deadline) -> set[str]:
        """The names of our reactions to a message."""
        us = await self._ourselves(deadline)
        found = await call(
            deadline,
            lambda: self._client.reactions_get(channel=to.channel, timestamp=ref, full=True),
        )
        there = (found.get("message") or {}).get("reactions") or ()
        return {one["name"] for one in there if us in one["users"]}

    async def _ourselves(self, deadline: Deadline) -> str:
        """Our own id."""
        if not self._user:
            self._user = str((await call(deadline, self._client.auth_test))["user_id"])
        return self._user

    async def _reaction(
        self, method: Any, to: Place, ref: str, name: str, deadline: Deadline
    ) -> None:
        try:
            await call(deadline, lambda: method(channel=to.channel, timestamp=ref, name=name))
        except Rejected as error:
            if not any(code in str(error) for code in _SAME):
                raise

    async def retitle(self, place: str, title: str, deadline: Deadline) -> None:
        """Rename the thread's agent session, where the workspace has such."""
        await self._agents.rename(Place.read(place), title, deadline)

    async def show_phase(self, place: str, phase: Phase, title: str, deadline: Deadline) -> None:
        """Set the status of the thread's agent session, where the workspace has such."""
        await self._agents.show(Place.read(place), phase, title, deadline)

    async def confide(self, place: str, person: str, deadline: Deadline) -> str:
        """The direct message with a person of the workspace."""
        opened = await call(deadline, lambda: self._client.conversations_open(users=[person]))
        return str(Place(Place.read(place).team, opened["channel"]["id"], ""))

    async def open_form(self, trigger: str, form: Mapping[str, Any]) -> None:
        """Show a form to whoever has just pressed a button; a trigger lives for seconds."""
        deadline = Deadline.after(FORM_SECONDS)
        await call(deadline, lambda: self._client.views_open(trigger_id=trigger, view=dict(form)))

    async def show_home(self, person: str, parts: Sequence[Part], deadline: Deadline) -> None:
        """Publish the person's App Home."""
        view = {"type": "home", "blocks": home(parts)}
        await call(deadline, lambda: self._client.views_publish(user_id=person, view=view))

    async def channel_of(self, near: str, person: str, name: str, deadline: Deadline) -> str | None:
        """Look through the channels that the person is in."""
        channel = await channel_of(self._client, person, name, deadline)
        if channel is None:
            return None
        team = near.partition("/")[0]
        if not team:
            team = (await call(deadline, self._client.auth_test))["team_id"]
        return f"{team}/{channel}"

    async def is_member(self, channel: str, person: str, deadline: Deadline) -> bool:
        """Look through the same; a direct message is its people's own."""
        _team, _slash, known = channel.partition("/")
        if known.startswith("D"):
            return True
        return await channel_of(self._client, person, known, deadline) is not None

    async def whisper(
        self, place: str, person: str, text: str, buttons: Sequence[Button] = ()
    ) -> None:
        """An ephemeral message, which vanishes when Slack is loaded again.

        Where we are no member none can be shown: it comes as a direct message.
        """
        content = Content(text=fitting(escape(text, code=False)), buttons=tuple(buttons))
        deadline = Deadline.after(WHISPER_SECONDS)
        try:
            try:
                await self._ephemeral(Place.read(place), person, content, deadline)
            except Gone:
                direct = Place.read(await self.confide(place, person, deadline))
                await self._post(direct, content, str(uuid4()), None, deadline)
        except ChatError as error:
            log.info("hint_not_shown", place=place, why=str(error))

    async def _ephemeral(
        self, to: Place, person: str, content: Content, deadline: Deadline
    ) -> None:
        await call(
            deadline,
            lambda: self._client.chat_postEphemeral(
                channel=to.channel,
                user=person,
                thread_ts=to.thread or None,
                text=fallback(content),
                blocks=blocks(content),
            ),
        )


def fitting(text: str) -> str:
    """An escaped text as far as it fits into one post."""
    if len(text) <= TEXT_LENGTH_MAX:
        return text
    cut = text[: TEXT_LENGTH_MAX - 1]
    # Half an entity would be shown as it is written.
    ampersand = cut.rfind("&", len(cut) - len("&amp;"))
    whole = ampersand < 0 or ";" in cut[ampersand:]
    return (cut if whole else cut[:ampersand]) + "…"


def _check(content: Content) -> None:
    if len(content.text) > TEXT_LENGTH_MAX:
        raise Rejected(f"the text has {len(content.text)} characters, {TEXT_LENGTH_MAX} fit")


def _mark(message: Any) -> str | None:
    metadata = message.get("metadata") or {}
    if metadata.get("event_type") != EVENT:
        return None
    return str((metadata.get("event_payload") or {}).get("mark"))
