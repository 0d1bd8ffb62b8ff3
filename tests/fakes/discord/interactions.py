"""Interactions: slash commands, menus, buttons and forms, and what became of their answers."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.fakes.discord import payloads, refused
from tests.fakes.discord.app import App
from tests.fakes.discord.refused import Refused
from tests.fakes.discord.world import Channel, Message, Permission, User, permissions

if TYPE_CHECKING:
    from tests.fakes.discord.server import FakeDiscord

ANSWER_SECONDS = 3.0
TOKEN_SECONDS = 900.0
COMMAND, COMPONENT, AUTOCOMPLETE, MODAL = 2, 3, 4, 5
SUBCOMMAND, GROUP, STRING = 1, 2, 3
OPTION_TYPES = {3: str, 4: int, 5: bool, 10: float}
BUTTON = 2
FILE_BYTES_MAX = 10 * 1024 * 1024


@dataclass(kw_only=True, eq=False)
class Interaction:
    """One thing that a person asked of the app, and how it was answered."""

    id: int
    app: App
    user: User
    channel: Channel
    type: int
    data: dict
    token: str
    made_at: float
    message: Message | None = None
    """Whose button was clicked."""
    answer_type: int | None = None
    """How it was answered; None: not yet."""
    original: Message | None = None
    """The message that answers it."""
    deferred: bool = False
    """The person sees that the app thinks."""
    followups: list[Message] = field(default_factory=list)
    choices: list[dict] | None = None
    modal: dict | None = None

    @property
    def answered(self) -> bool:
        return self.answer_type is not None

    def about(self) -> dict:
        """What its messages say about it."""
        return {
            "id": str(self.id),
            "type": self.type,
            "user": payloads.user(self.user),
            "authorizing_integration_owners": {},
        }


class Interactions:
    """All of them, by id and token."""

    def __init__(self, discord: FakeDiscord) -> None:
        self.discord = discord
        self.all: dict[int, Interaction] = {}

    def slash(
        self,
        user: User,
        app: App,
        command: str,
        where: Channel,
        options: Mapping[str, object],
        *,
        focused: str | None = None,
    ) -> Interaction:
        """A slash command, or what is typed in one of its options."""
        name, *inner = command.split()
        known = self._command(app, where, name, 1)
        data = {**_named(known), "type": 1, "options": _options(known, inner, options, focused)}
        return self._send(user, app, where, AUTOCOMPLETE if focused else COMMAND, data)

    def on_message(self, user: User, app: App, command: str, message: Message) -> Interaction:
        """A command from the menu of a message."""
        known = self._command(app, message.channel, command, 3)
        shown = payloads.message(message, app.user, self.discord.url, content=True)
        data = {
            **_named(known),
            "type": 3,
            "target_id": str(message.id),
            "resolved": {"messages": {str(message.id): shown}},
        }
        return self._send(user, app, message.channel, COMMAND, data)

    def click(self, user: User, message: Message, what: str, values: Sequence[str]) -> Interaction:
        """A button, or the choice of `values` in a menu."""
        assert message in self.discord.messages.seen(message.channel, user), "can't see it"
        for each in _inner(message.components):
            if what in (each.get("label"), each.get("custom_id")):
                break
        else:
            raise AssertionError(f"there is no {what!r} at this message")
        assert not each.get("disabled"), f"{what!r} can't be clicked"
        data = {"custom_id": each["custom_id"], "component_type": each["type"]}
        if each["type"] != BUTTON:
            data["values"] = list(values)
        app = next(app for app in self.discord.apps if app.user is message.author)
        return self._send(user, app, message.channel, COMPONENT, data, message=message)

    def submit(self, user: User, shown: Interaction, values: Mapping[str, str]) -> Interaction:
        """The form that another interaction showed, filled in."""
        assert shown.modal, "no form was shown"
        rows = [_filled(row, values) for row in shown.modal["components"]]
        data = {"custom_id": shown.modal["custom_id"], "components": rows}
        return self._send(user, shown.app, shown.channel, MODAL, data, message=shown.message)

    def _command(self, app: App, where: Channel, name: str, type: int) -> dict:
        guild_id = where.guild.id if where.guild else None
        known = [*app.commands.get(guild_id, []), *app.commands.get(None, [])]
        for each in known:
            if each["name"] == name and each["type"] == type:
                return each
        raise AssertionError(f"there is no command {name!r}")

    def _send(
        self,
        user: User,
        app: App,
        channel: Channel,
        type: int,
        data: dict,
        *,
        message: Message | None = None,
    ) -> Interaction:
        may = permissions(user, channel)
        assert may & Permission.VIEW_CHANNEL, "nobody can do that where they see nothing"
        assert not channel.archived, "clients offer nothing in an archived thread"
        interaction = Interaction(
            id=self.discord.clock.snowflake(),
            app=app,
            user=user,
            channel=channel,
            type=type,
            data=data,
            token=secrets.token_urlsafe(48),
            made_at=self.discord.clock.now(),
            message=message,
        )
        self.all[interaction.id] = interaction
        body = self._body(interaction, int(may))
        self.discord.gateway.emit("INTERACTION_CREATE", body, only=app, guild=channel.guild)
        return interaction

    def _body(self, it: Interaction, may: int) -> dict:
        guild, viewer = it.channel.guild, it.app.user
        body = {
            "id": str(it.id),
            "application_id": str(it.app.id),
            "type": it.type,
            "data": it.data,
            "token": it.token,
            "version": 1,
            "channel_id": str(it.channel.id),
            "channel": payloads.channel(it.channel, viewer),
            "app_permissions": str(int(permissions(viewer, it.channel))),
            "locale": it.user.locale,
            "entitlements": [],
            "authorizing_integration_owners": {"0": str(guild.id) if guild else "0"},
            "context": 0 if guild else 1,
            "attachment_size_limit": FILE_BYTES_MAX,
        }
        if it.message:
            url = self.discord.url
            body["message"] = payloads.message(it.message, viewer, url, content=True)
        if guild is None:
            return body | {"user": payloads.user(it.user)}
        return body | {
            "guild_id": str(guild.id),
            "guild": {"id": str(guild.id), "locale": "en-US", "features": []},
            "guild_locale": "en-US",
            "member": payloads.member(guild.members[it.user.id]) | {"permissions": str(may)},
        }

    def to_answer(self, number: int, token: str) -> Interaction:
        """The interaction that may be answered for the first time now."""
        found = self.all.get(number)
        if found is None or found.token != token:
            raise refused.unknown("interaction")
        if found.answered:
            raise Refused(400, 40060, "Interaction has already been acknowledged.")
        if self.discord.clock.now() > found.made_at + ANSWER_SECONDS:
            raise refused.unknown("interaction")
        return found

    def by_token(self, application: int, token: str) -> Interaction:
        """The answered interaction whose token still works."""
        found = next((each for each in self.all.values() if each.token == token), None)
        if found is None or found.app.id != application or not found.answered:
            raise refused.unknown("Webhook")
        if self.discord.clock.now() > found.made_at + TOKEN_SECONDS:
            raise Refused(401, 50027, "Invalid Webhook Token")
        return found


def _named(command: dict) -> dict:
    more = {"guild_id": command["guild_id"]} if "guild_id" in command else {}
    return {"id": command["id"], "name": command["name"], **more}


def _options(
    command: dict, inner: list[str], given: Mapping[str, object], focused: str | None
) -> list[dict]:
    """The options of a command as they are sent, checked against what is registered."""
    known = {each["name"]: each for each in command.get("options") or []}
    if inner:
        name, *rest = inner
        assert name in known, f"there is no {name!r} in {command['name']!r}"
        within = _options(known[name], rest, given, focused)
        return [{"name": name, "type": known[name]["type"], "options": within}]
    unknown = set(given) - set(known)
    assert not unknown, f"{command['name']!r} has no options {unknown}"
    missing = {each["name"] for each in known.values() if each.get("required")} - set(given)
    assert focused or not missing, f"the client wants {missing}"
    sent = []
    for name, value in given.items():
        type = known[name]["type"]
        assert isinstance(value, OPTION_TYPES.get(type, object)), f"{name} can't be {value!r}"
        option = {"name": name, "type": type, "value": value}
        sent.append(option | ({"focused": True} if name == focused else {}))
    return sent


def _inner(components: Sequence[dict]) -> list[dict]:
    """Every component, however deep."""
    found = []
    for each in components:
        within = [*(each.get("components") or []), *filter(None, [each.get("accessory")])]
        found += [each, *_inner(within)]
    return found


def _filled(row: dict, values: Mapping[str, str]) -> dict:
    """A row or label of a form with what was typed."""
    if row["type"] == 18:
        return {"type": 18, "id": row.get("id", 0), "component": _typed(row["component"], values)}
    return {"type": 1, "components": [_typed(each, values) for each in row["components"]]}


def _typed(field_: dict, values: Mapping[str, str]) -> dict:
    name = field_["custom_id"]
    assert name in values or not field_.get("required", True), f"the form wants {name!r}"
    value = values.get(name, field_.get("value") or "")
    return {"type": field_["type"], "custom_id": name, "value": value}
