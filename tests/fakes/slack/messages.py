"""What happens to messages, whoever does it: it is kept, people notice, the app is told."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tests.fakes.slack.mrkdwn import everything_said, pings
from tests.fakes.slack.world import Channel, Message

if TYPE_CHECKING:
    from tests.fakes.slack.people import Person
    from tests.fakes.slack.server import FakeSlack

Why = Literal["dm", "mention", "group", "channel", "here", "thread"]


@dataclass(frozen=True)
class Notification:
    """A person's telephone buzzed."""

    message: Message
    why: Why


class Messages:
    def __init__(self, slack: FakeSlack) -> None:
        self._slack = slack

    def post(self, message: Message) -> Message:
        message.texts.append(message.text)
        for file in message.files:
            file.channels.append(message.channel)
        message.channel.messages.append(message)
        for person, why in self._noticed(message):
            person.notifications.append(Notification(message, why))
        self._slack.events.posted(message)
        self._slack.changed()
        return message

    def whisper(self, message: Message) -> Message:
        """Show it to `only_for`; nobody else and no event ever tells of it."""
        message.texts.append(message.text)
        message.channel.messages.append(message)
        self._slack.changed()
        return message

    def edit(self, message: Message, by: Person, changes: dict[str, Any]) -> None:
        """Nobody is notified of an edit."""
        before = copy.deepcopy(message.payload())
        for name, value in changes.items():
            setattr(message, name, value)
        message.edited = {"user": by.id, "ts": self._slack.stamps.ts()}
        message.texts.append(message.text)
        if message.only_for is None:
            self._slack.events.edited(message, before)
        self._slack.changed()

    def unfurl(self, message: Message) -> None:
        """A link in it gets its preview: a change that nobody made."""
        before = copy.deepcopy(message.payload())
        message.attachments = [{"id": 1, "fallback": "a preview", "title": "a preview"}]
        self._slack.events.edited(message, before)
        self._slack.changed()

    def delete(self, message: Message) -> None:
        before = copy.deepcopy(message.payload())
        has_replies = any(m is not message for m in message.channel.thread(message.ts))
        message.deleted = True
        if message.only_for is not None:
            return
        tell = self._slack.events.buried if has_replies else self._slack.events.deleted
        tell(message, before)
        self._slack.changed()

    def react(self, message: Message, person: Person, emoji: str) -> bool:
        """Whether that was new."""
        people = message.reactions.setdefault(emoji, [])
        if person.id in people:
            return False
        people.append(person.id)
        self._slack.events.reaction("reaction_added", message, person, emoji)
        self._slack.changed()
        return True

    def unreact(self, message: Message, person: Person, emoji: str) -> bool:
        people = message.reactions.get(emoji, [])
        if person.id not in people:
            return False
        people.remove(person.id)
        if not people:
            del message.reactions[emoji]
        self._slack.events.reaction("reaction_removed", message, person, emoji)
        self._slack.changed()
        return True

    def _noticed(self, message: Message) -> list[tuple[Person, Why]]:
        """Who is notified, and why; the author never is."""
        reasons: dict[Person, Why] = {}
        if message.channel.kind in ("im", "mpim"):
            reasons |= dict.fromkeys(message.channel.members, "dm")
        if message.is_reply:
            thread = message.channel.thread(message.place)
            reasons |= {other.author: "thread" for other in thread}
        reasons |= pinged(message.channel, everything_said(message.text, message.blocks))
        reasons.pop(message.author, None)
        return [(person, why) for person, why in reasons.items() if not person.is_bot]


def pinged(channel: Channel, text: str) -> dict[Person, Why]:
    """Who would be notified of a text in a channel, for what is in it."""
    found = pings(text)
    reasons: dict[Person, Why] = {}
    humans = [person for person in channel.members if not person.is_bot]
    if found.channel:
        reasons |= dict.fromkeys(humans, "channel")
    if found.here:
        reasons |= {person: "here" for person in humans if person.is_active}
    for group in found.groups:
        members = [person for team in channel.teams for person in team.groups.get(group, [])]
        reasons |= dict.fromkeys(members, "group")
    for person in (person for team in channel.teams for person in team.people):
        if person.id in found.users:
            reasons[person] = "mention"
    return reasons
