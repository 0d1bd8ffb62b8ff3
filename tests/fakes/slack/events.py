"""Which events an app gets, and how they are wrapped."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tests.fakes.slack.installed import Install
from tests.fakes.slack.world import KIND_SCOPES, Channel, Message, Workspace

if TYPE_CHECKING:
    from tests.fakes.slack.people import Person
    from tests.fakes.slack.server import FakeSlack

SUBSCRIPTION_ENDS = {"channel": "channels", "group": "groups", "im": "im", "mpim": "mpim"}
EVENT_SCOPES = {
    "app_mention": "app_mentions:read",
    "reaction_added": "reactions:read",
    "reaction_removed": "reactions:read",
    "file_shared": "files:read",
}


class Events:
    def __init__(self, slack: FakeSlack) -> None:
        self._slack = slack

    def posted(self, message: Message) -> None:
        """Somebody wrote: a `message`, and an `app_mention` where the app is mentioned."""
        self._message(message, self._facts(message))
        self._mentions(message)
        for file in message.files:
            self.tell(
                {
                    "type": "file_shared",
                    "file_id": file.id,
                    "file": {"id": file.id},
                    "user_id": message.author.id,
                    "channel_id": message.channel.id,
                },
                message.channel,
            )

    def edited(self, message: Message, before: dict[str, Any]) -> None:
        """The message shows something else now; an unfurled link does this too."""
        change = {
            "type": "message",
            "subtype": "message_changed",
            "message": message.payload(),
            "previous_message": before,
            "hidden": True,
            "ts": self._slack.stamps.ts(),
        }
        self._message(message, change)
        if message.edited != before.get("edited"):
            self._mentions(message)

    def deleted(self, message: Message, before: dict[str, Any]) -> None:
        change = {
            "type": "message",
            "subtype": "message_deleted",
            "previous_message": before,
            "hidden": True,
            "deleted_ts": message.ts,
            "ts": self._slack.stamps.ts(),
        }
        self._message(message, change)

    def buried(self, message: Message, before: dict[str, Any]) -> None:
        """The root of a thread was deleted: a stone stays where it was."""
        stone: dict[str, Any] = {
            "type": "message",
            "subtype": "tombstone",
            "text": "This message was deleted.",
            "user": "USLACKBOT",
            "hidden": True,
            "ts": message.ts,
            "thread_ts": message.ts,
        }
        change: dict[str, Any] = {"type": "message", "subtype": "message_changed"}
        change["message"] = stone
        change |= {"previous_message": before, "hidden": True, "ts": self._slack.stamps.ts()}
        self._message(message, change)

    def reaction(self, kind: str, message: Message, person: Person, emoji: str) -> None:
        event = {
            "type": kind,
            "user": person.id,
            "reaction": emoji,
            "item": {"type": "message", "channel": message.channel.id, "ts": message.ts},
            "item_user": message.author.id,
        }
        self.tell(event, message.channel)

    def tell(self, event: dict[str, Any], channel: Channel) -> None:
        """Tell the app, once, what happened in a conversation that a bot of it is in."""
        for install in self._installs(channel)[:1]:
            self.tell_install(event, install, channel)

    def tell_install(
        self, event: dict[str, Any], install: Install, channel: Channel | None = None
    ) -> None:
        kind = event["type"]
        subscription, scope = kind, EVENT_SCOPES.get(kind)
        if kind == "message":
            assert channel
            subscription = f"message.{SUBSCRIPTION_ENDS[channel.kind]}"
            scope = f"{KIND_SCOPES[channel.kind]}:history"
        if subscription not in self._slack.app.subscriptions:
            return
        if scope is not None and scope not in install.scopes:
            return
        event = {"event_ts": self._slack.stamps.ts()} | event
        self._slack.out.put("events_api", kind, self._wrap(event, install, channel))

    def _installs(self, channel: Channel) -> list[Install]:
        found = [team.install for team in channel.teams if team.install]
        return [one for one in found if not one.revoked and one.user in channel.members]

    def _facts(self, message: Message) -> dict[str, Any]:
        facts = message.payload() | {"channel": message.channel.id, "event_ts": message.ts}
        if message.subtype == "thread_broadcast":
            root = message.channel.find(message.place)
            facts["root"] = root.payload() if root else {}
        return facts

    def _message(self, message: Message, facts: dict[str, Any]) -> None:
        place = {"channel": message.channel.id, "channel_type": message.channel.kind}
        for install in self._installs(message.channel)[:1]:
            whole = {"event_ts": facts["ts"]} | facts | place
            self.tell_install(
                whole | _foreign(message.author, install.team), install, message.channel
            )

    def _mentions(self, message: Message) -> None:
        """Also what other bots write, and anew with every edit; none in a direct message."""
        kinds = (None, "thread_broadcast", "file_share", "bot_message")
        if message.channel.kind == "im" or message.subtype not in kinds:
            return
        for install in self._installs(message.channel):
            if install.mention not in message.text or message.author is install.user:
                continue
            facts = self._facts(message) | {"type": "app_mention"}
            facts["event_ts"] = (message.edited or {}).get("ts", message.ts)
            facts = {name: facts[name] for name in facts if name != "root"}
            foreign = _foreign(message.author, install.team)
            self.tell_install(facts | foreign, install, message.channel)

    def _wrap(
        self, event: dict[str, Any], install: Install, channel: Channel | None
    ) -> dict[str, Any]:
        team = install.team
        authorization = {
            "enterprise_id": team.enterprise_id,
            "team_id": team.id,
            "user_id": install.user.id,
            "is_bot": True,
            "is_enterprise_install": False,
        }
        wrapped = {
            "token": self._slack.app.verification_token,
            "team_id": team.id,
            "context_team_id": team.id,
            "context_enterprise_id": team.enterprise_id,
            "api_app_id": self._slack.app.id,
            "event": event,
            "type": "event_callback",
            "event_id": self._slack.stamps.new("Ev"),
            "event_time": int(time.time()),
            "authorizations": [authorization],
            "is_ext_shared_channel": bool(channel and channel.is_ext_shared),
            "event_context": self._slack.stamps.new("4-"),
        }
        if team.enterprise_id:
            wrapped["enterprise_id"] = team.enterprise_id
        return wrapped


def _foreign(author: Person, team: Workspace) -> dict[str, Any]:
    """What a message of somebody from elsewhere says besides."""
    if author.team is team:
        return {}
    theirs = author.team.enterprise_id or author.team.id
    profile = {"name": author.name, "real_name": author.real_name, "team": theirs}
    return {"team": team.id, "user_team": theirs, "source_team": theirs, "user_profile": profile}
