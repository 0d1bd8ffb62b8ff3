"""Routes with which an app answers interactions."""

from __future__ import annotations

from typing import Any

from tests.fakes.discord import mentions, refused
from tests.fakes.discord.interactions import (
    AUTOCOMPLETE,
    COMMAND,
    COMPONENT,
    MODAL,
    Interaction,
)
from tests.fakes.discord.messages import Draft
from tests.fakes.discord.refused import Refused
from tests.fakes.discord.rest import Asked, route
from tests.fakes.discord.routes_messages import apply_edit, check_body, draft_of
from tests.fakes.discord.world import (
    CHAT_INPUT,
    CONTEXT_MENU,
    DEFAULT,
    EPHEMERAL,
    LOADING,
    Message,
)

MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE, CHOICES, SHOW_MODAL = 4, 5, 6, 7, 8, 9
FITS = {
    COMMAND: {MESSAGE, DEFERRED, SHOW_MODAL},
    COMPONENT: {MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE, SHOW_MODAL},
    AUTOCOMPLETE: {CHOICES},
    MODAL: {MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE},
}
"""Which answers an interaction may have, by its type."""
CHOICES_MAX = 25
TITLE_LENGTH_MAX = 45
MODAL_ROWS_MAX = 5
WEBHOOK = "/webhooks/{application}/{token}"


@route("POST /interactions/{interaction}/{token}/callback")
def answer(asked: Asked) -> dict | None:
    it = asked.discord.interactions.to_answer(asked.number("interaction"), asked.path["token"])
    kind, data = asked.body.get("type"), asked.body.get("data") or {}
    if kind not in FITS[it.type]:
        raise refused.form("type", "INTERACTION_APPLICATION_INVALID_TYPE", f"Not here: {kind}")
    _do(asked, it, kind, data)
    it.answer_type = kind
    if asked.query.get("with_response") not in ("1", "true", "True"):
        return None
    return _said(asked, it, kind)


def _do(asked: Asked, it: Interaction, kind: int, data: dict) -> None:
    if kind == MESSAGE:
        it.original = _post(asked, it, data)
    elif kind == DEFERRED:
        flags = LOADING | ((data.get("flags") or 0) & EPHEMERAL)
        it.original = _say(asked, it, Draft(flags=flags))
        it.deferred = True
    elif kind == DEFERRED_UPDATE:
        it.original = it.message
    elif kind == UPDATE:
        check_body(data)
        assert it.message
        apply_edit(asked, it.message, data)
        it.original = it.message
    elif kind == CHOICES:
        choices = data.get("choices") or []
        if len(choices) > CHOICES_MAX:
            raise refused.too_long("data.choices", CHOICES_MAX)
        for number, each in enumerate(choices):
            refused.bounded(f"data.choices.{number}.name", each["name"], 1, 100)
        it.choices = choices
    else:
        refused.bounded("data.title", data.get("title"), 1, TITLE_LENGTH_MAX)
        refused.bounded("data.custom_id", data.get("custom_id"), 1, 100)
        if not 1 <= len(data.get("components") or []) <= MODAL_ROWS_MAX:
            words = f"Must be between 1 and {MODAL_ROWS_MAX} in length."
            raise refused.form("data.components", "BASE_TYPE_BAD_LENGTH", words)
        it.modal = data


def _post(asked: Asked, it: Interaction, data: dict) -> Message:
    check_body(data)
    draft = draft_of(asked, data)
    draft.flags |= (data.get("flags") or 0) & EPHEMERAL
    return _say(asked, it, draft)


def _say(asked: Asked, it: Interaction, draft: Draft) -> Message:
    """Post for an interaction: to everybody, or to the person only."""
    kinds = {1: CHAT_INPUT, 3: CONTEXT_MENU}
    first = it.original is None and it.type == COMMAND
    draft.type = kinds[it.data["type"]] if first else DEFAULT
    draft.interaction, draft.webhook = it.about(), True
    draft.seen_by = it.user if draft.flags & EPHEMERAL else None
    if draft.allowed is None:
        draft.allowed = mentions.OF_ANSWERS
    return asked.discord.messages.post(it.channel, it.app.user, draft)


def _said(asked: Asked, it: Interaction, kind: int) -> dict:
    body: dict[str, Any] = {"interaction": {"id": str(it.id), "type": it.type}}
    if it.original is None:
        return body
    body["interaction"] |= {
        "response_message_id": str(it.original.id),
        "response_message_loading": bool(it.original.flags & LOADING),
        "response_message_ephemeral": it.original.ephemeral,
    }
    if kind in (MESSAGE, UPDATE):
        shown = asked.discord.rest.message(it.original, it.app)
        body["resource"] = {"type": kind, "message": shown}
    return body


def _interaction(asked: Asked) -> Interaction:
    number, token = asked.number("application"), asked.path["token"]
    return asked.discord.interactions.by_token(number, token)


def _message(asked: Asked, it: Interaction) -> Message:
    name = asked.path["message"]
    known = [*filter(None, [it.original]), *it.followups]
    if name == "@original":
        found = it.original
    else:
        found = next((each for each in known if each.id == asked.number("message")), None)
    if found is None or found.deleted:
        raise refused.unknown("Message")
    return found


@route(f"POST {WEBHOOK}")
def follow_up(asked: Asked) -> dict:
    it = _interaction(asked)
    if it.original and it.original.flags & LOADING:
        check_body(asked.body)
        return asked.discord.rest.message(_fill(asked, it.original), it.app)
    message = _post(asked, it, asked.body)
    it.followups.append(message)
    return asked.discord.rest.message(message, it.app)


def _fill(asked: Asked, message: Message) -> Message:
    """Let the message that was waited for say something.

    Discord does not say whether this notifies; here it notifies nobody, like every edit.
    """
    message.flags &= ~LOADING
    try:
        apply_edit(asked, message)
    except Refused:
        message.flags |= LOADING
        raise
    return message


@route(f"GET {WEBHOOK}/messages/{{message}}")
def read(asked: Asked) -> dict:
    it = _interaction(asked)
    return asked.discord.rest.message(_message(asked, it), it.app)


@route(f"PATCH {WEBHOOK}/messages/{{message}}")
def edit(asked: Asked) -> dict:
    it = _interaction(asked)
    message = _message(asked, it)
    check_body(asked.body)
    if message.channel.archived:
        raise refused.archived()
    if message.flags & LOADING:
        _fill(asked, message)
    else:
        apply_edit(asked, message)
    return asked.discord.rest.message(message, it.app)


@route(f"DELETE {WEBHOOK}/messages/{{message}}")
def delete(asked: Asked) -> None:
    it = _interaction(asked)
    asked.discord.messages.delete(_message(asked, it))
