"""What people see: a channel or thread as its client shows it to one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.fakes.slack.mrkdwn import Shown, blocks_text, shown
from tests.fakes.slack.world import Channel, Message

if TYPE_CHECKING:
    from tests.fakes.slack.people import Person

STONE = "This message was deleted."
"""What is left of a deleted message that has replies."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One message on a screen."""

    message: Message
    author: str
    raw: str
    """What is displayed, with its markup: the blocks if there are any, else the text."""
    edited: bool = False
    ephemeral: bool = False
    reactions: tuple[tuple[str, int], ...] = ()
    files: tuple[str, ...] = ()
    buttons: tuple[str, ...] = ()
    replies: int = 0

    @property
    def shown(self) -> Shown:
        return shown(self.raw)

    @property
    def text(self) -> str:
        return self.shown.text


def channel_seen_by(person: Person, channel: Channel) -> list[Seen]:
    return [_seen(m) for m in _visible(person, channel) if _is_in_channel(m) and _is_left(m)]


def thread_seen_by(person: Person, channel: Channel, ts: str) -> list[Seen]:
    here = [m for m in _visible(person, channel) if ts in (m.ts, m.thread_ts)]
    return [_seen(m) for m in here if _is_left(m)]


def buttons(blocks: list[dict[str, Any]] | None) -> list[tuple[str, dict[str, Any]]]:
    """Each button in blocks, with the id of its block."""
    found = []
    for block in blocks or []:
        elements = [*block.get("elements", []), block.get("accessory")]
        for each in elements:
            if isinstance(each, dict) and each.get("type") == "button":
                found.append((block["block_id"], each))
    return found


def menus(blocks: list[dict[str, Any]] | None) -> list[tuple[str, dict[str, Any]]]:
    """Each menu in blocks whose options the app says, with the id of its block."""
    return [
        (block["block_id"], each)
        for block in blocks or []
        for each in block.get("elements", [])
        if each.get("type") == "external_select"
    ]


def _visible(person: Person, channel: Channel) -> list[Message]:
    return [m for m in channel.messages if m.only_for in (None, person)]


def _is_in_channel(message: Message) -> bool:
    return not message.is_reply or message.subtype == "thread_broadcast"


def _is_left(message: Message) -> bool:
    """A deleted message stays as a stone while it has replies."""
    return not message.deleted or (
        message.only_for is None and bool(message.channel.thread(message.ts))
    )


def _seen(message: Message) -> Seen:
    if message.deleted:
        return Seen(message=message, author="", raw=STONE)
    replies = [m for m in message.channel.thread(message.ts) if m is not message]
    return Seen(
        message=message,
        author=message.username or message.author.name,
        raw=blocks_text(message.blocks) if message.blocks else message.text,
        # An app that shows blocks edits without a trace.
        edited=message.edited is not None and not (message.install and message.blocks),
        ephemeral=message.only_for is not None,
        reactions=tuple((name, len(users)) for name, users in message.reactions.items()),
        files=tuple(file.name for file in message.files),
        buttons=tuple(button["text"]["text"] for _, button in buttons(message.blocks)),
        replies=len(replies),
    )
