"""Slash commands, shortcuts and buttons: what the app gets, and the ways it has to answer."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.fakes.slack import blocks as block_rules
from tests.fakes.slack.delivery import Delivery
from tests.fakes.slack.installed import Install
from tests.fakes.slack.world import Channel, Message

if TYPE_CHECKING:
    from tests.fakes.slack.people import Person
    from tests.fakes.slack.server import FakeSlack

RESPONSES_MAX = 5
RESPONSE_SECONDS = 30 * 60
TRIGGER_SECONDS = 3
CHANNEL_NAMES = {"im": "directmessage", "group": "privategroup"}
"""What a command says instead of the name of such a conversation."""


class Unanswered(Exception):
    """The app did not acknowledge in time; the person was shown that it failed."""


@dataclass(kw_only=True, eq=False)
class Interaction:
    """One click or command of a person."""

    person: Person
    install: Install
    channel: Channel | None
    message: Message | None
    delivery: Delivery | None = None
    trigger_id: str
    response_url: str
    began: float = field(default_factory=time.monotonic)
    responses: int = 0
    exchanged: bool = False

    async def answer(self) -> dict[str, Any]:
        """What the acknowledgement carried.

        :raises Unanswered: when none came in time
        """
        assert self.delivery
        await self.delivery.over.wait()
        if not self.delivery.acked:
            raise Unanswered(self.delivery.attempts[-1])
        return self.delivery.answer or {}


class Interactions:
    def __init__(self, slack: FakeSlack) -> None:
        self._slack = slack
        self.by_trigger: dict[str, Interaction] = {}
        self._by_response: dict[str, Interaction] = {}
        self._by_delivery: dict[Delivery, Interaction] = {}

    def command(self, person: Person, channel: Channel, command: str, text: str) -> Interaction:
        begun = self._begin(person, channel, None)
        team = person.team
        payload: dict[str, Any] = {"token": self._slack.app.verification_token}
        payload |= {"team_id": team.id, "team_domain": team.name, "channel_id": channel.id}
        payload["channel_name"] = CHANNEL_NAMES.get(channel.kind, channel.name)
        payload |= {"user_id": person.id, "user_name": person.name}
        payload |= {"command": command, "text": text, "api_app_id": self._slack.app.id}
        payload |= {"is_enterprise_install": False, "response_url": begun.response_url}
        payload["trigger_id"] = begun.trigger_id
        if team.enterprise_id:
            payload |= {"enterprise_id": team.enterprise_id, "enterprise_name": team.name}
        return self._send(begun, "slash_commands", payload)

    def shortcut(self, person: Person, message: Message, callback_id: str) -> Interaction:
        begun = self._begin(person, message.channel, message)
        payload = self._payload("message_action", begun) | {
            "callback_id": callback_id,
            "message_ts": message.ts,
            "message": message.payload(),
        }
        return self._send(begun, "interactive", payload)

    def click(
        self, person: Person, where: Message | dict[str, Any], button: dict[str, Any], block: str
    ) -> Interaction:
        """Click a button of a message or of a view."""
        message = where if isinstance(where, Message) else None
        begun = self._begin(person, message.channel if message else None, message)
        payload = self._payload("block_actions", begun)
        action = {name: button[name] for name in button if name not in ("url", "confirm", "style")}
        action |= {"block_id": block, "action_ts": self._slack.stamps.ts()}
        payload |= {"actions": [action], "state": {"values": {}}, "is_enterprise_install": False}
        if message is None:
            assert not isinstance(where, Message)
            container: dict[str, Any] = {"type": "view", "view_id": where["id"]}
            payload |= {"view": where, "container": container}
            del payload["response_url"]
            return self._send(begun, "interactive", payload)
        container = {"type": "message", "message_ts": message.ts}
        container |= {"channel_id": message.channel.id, "is_ephemeral": bool(message.only_for)}
        if message.is_reply:
            container["thread_ts"] = message.thread_ts
        payload["container"] = container
        if not message.only_for:
            payload["message"] = message.payload()
        return self._send(begun, "interactive", payload)

    def suggest(
        self, person: Person, view: dict[str, Any], menu: dict[str, Any], block: str, typed: str
    ) -> Interaction:
        """Type in a menu of a view whose options the app has to say."""
        begun = self._begin(person, None, None)
        payload = self._payload("block_suggestion", begun)
        # Nothing can be opened or answered by it but the menu.
        del payload["response_url"], payload["trigger_id"], payload["action_ts"]
        payload |= {"action_id": menu["action_id"], "block_id": block, "value": typed}
        payload |= {"view": view, "container": {"type": "view", "view_id": view["id"]}}
        return self._send(begun, "interactive", payload)

    def submit(self, person: Person, view: dict[str, Any], values: dict[str, Any]) -> Interaction:
        begun = self._begin(person, None, None)
        payload = self._payload("view_submission", begun)
        payload |= {"view": view | {"state": {"values": values}}, "response_urls": []}
        del payload["response_url"]
        return self._send(begun, "interactive", payload)

    def ended(self, delivery: Delivery) -> None:
        """Show a person how the app took it."""
        interaction = self._by_delivery.get(delivery)
        if interaction is None:
            return
        if not delivery.acked:
            interaction.person.failures.append("operation_timeout")
        elif delivery.kind == "slash_commands" and delivery.answer:
            self._respond(interaction, delivery.answer)

    async def respond(self, request: web.Request) -> web.Response:
        """Somebody posts to a `response_url`."""
        interaction = self._by_response.get(str(request.url))
        if interaction is None:
            return web.Response(status=404, text="no_service")
        if time.monotonic() - interaction.began > RESPONSE_SECONDS:
            return web.json_response({"ok": False, "error": "expired_url"}, status=404)
        if interaction.responses >= RESPONSES_MAX:
            return web.json_response({"ok": False, "error": "used_url"}, status=404)
        body = await request.json()
        if body.get("blocks") and (fault := block_rules.fault(body["blocks"])):
            return web.json_response({"ok": False, "error": fault}, status=400)
        if not any(body.get(name) for name in ("text", "blocks", "delete_original")):
            return web.json_response({"ok": False, "error": "no_text"}, status=400)
        interaction.responses += 1
        self._respond(interaction, body)
        return web.Response(text="ok")

    def _respond(self, interaction: Interaction, body: dict[str, Any]) -> None:
        original = interaction.message
        if original is not None and body.get("delete_original"):
            self._slack.messages.delete(original)
            return
        text, blocks = body.get("text", ""), body.get("blocks") or None
        bot = interaction.install.user
        if original is not None and body.get("replace_original"):
            self._slack.messages.edit(original, bot, {"text": text, "blocks": blocks})
            return
        assert interaction.channel
        is_public = body.get("response_type") == "in_channel"
        message = Message(
            channel=interaction.channel,
            ts=self._slack.stamps.ts(),
            author=bot,
            text=text,
            blocks=blocks,
            thread_ts=body.get("thread_ts") or (original.thread_ts if original else None),
            install=interaction.install,
            subtype="bot_message",
            only_for=None if is_public else interaction.person,
        )
        post = self._slack.messages.post if is_public else self._slack.messages.whisper
        post(message)

    def _begin(
        self, person: Person, channel: Channel | None, message: Message | None
    ) -> Interaction:
        teams = channel.teams if channel else [person.team]
        install = next(team.install for team in teams if team.install)
        number = self._slack.stamps.new("")
        interaction = Interaction(
            person=person,
            install=install,
            channel=channel,
            message=message,
            trigger_id=f"{number}.{install.team.id[1:]}.abcdef",
            response_url=f"{self._slack.url}/response/{install.team.id}/{number}",
        )
        self.by_trigger[interaction.trigger_id] = interaction
        self._by_response[interaction.response_url] = interaction
        return interaction

    def _payload(self, kind: str, begun: Interaction) -> dict[str, Any]:
        team, person = begun.install.team, begun.person
        shown: dict[str, Any] = {"id": team.id, "domain": team.name}
        if team.enterprise_id:
            shown |= {"enterprise_id": team.enterprise_id, "enterprise_name": team.name}
        user = {"id": person.id, "username": person.name, "name": person.name}
        payload = {
            "type": kind,
            "token": self._slack.app.verification_token,
            "action_ts": self._slack.stamps.ts(),
            "team": shown,
            "user": user | {"team_id": person.team.id},
            "enterprise": None,
            "is_enterprise_install": False,
            "api_app_id": self._slack.app.id,
            "trigger_id": begun.trigger_id,
            "response_url": begun.response_url,
        }
        if begun.channel is not None:
            payload["channel"] = {
                "id": begun.channel.id,
                "name": CHANNEL_NAMES.get(begun.channel.kind, begun.channel.name),
            }
        return payload

    def _send(self, begun: Interaction, kind: Any, payload: dict[str, Any]) -> Interaction:
        name = payload.get("type") or kind
        begun.delivery = self._slack.out.put(kind, name, payload)
        self._by_delivery[begun.delivery] = begun
        return begun
