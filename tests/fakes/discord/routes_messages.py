"""Routes of messages and reactions."""

from __future__ import annotations

from typing import Any

from tests.fakes.discord import mentions, payloads, refused
from tests.fakes.discord.messages import Draft
from tests.fakes.discord.refused import Refused
from tests.fakes.discord.rest import Asked, route
from tests.fakes.discord.world import (
    COMPONENTS_V2,
    DM,
    FORUM,
    SUPPRESS_EMBEDS,
    SUPPRESS_NOTIFICATIONS,
    Attachment,
    Channel,
    Message,
    Permission,
    permissions,
)

TEXT_LENGTH_MAX = 2_000
NONCE_LENGTH_MAX = 25
EMBEDS_MAX = 10
EMBEDS_LENGTH_MAX = 6_000
FILES_MAX = 10
FILE_BYTES_MAX = 10 * 1024 * 1024
ROWS_MAX, BUTTONS_MAX, LABEL_LENGTH_MAX, CUSTOM_ID_LENGTH_MAX = 5, 5, 80, 100
EDITABLE = SUPPRESS_EMBEDS | COMPONENTS_V2
SETTABLE = SUPPRESS_EMBEDS | SUPPRESS_NOTIFICATIONS | COMPONENTS_V2
MESSAGES = "/channels/{channel}/messages"
MESSAGE = f"{MESSAGES}/{{message}}"
REACTION = f"{MESSAGE}/reactions/{{emoji}}"
P = Permission


def channel_of(asked: Asked, *needed: Permission) -> Channel:
    """The channel of a request, if its app can see it and may do all that is needed."""
    channel = asked.discord.channels.get(asked.number("channel"))
    if channel is None:
        raise refused.unknown("Channel")
    may = permissions(asked.me.user, channel)
    if not may & P.VIEW_CHANNEL:
        raise refused.missing_access()
    if channel.type != DM and any(not may & each for each in needed):
        raise refused.missing_permissions()
    return channel


def message_of(asked: Asked, channel: Channel) -> Message:
    return asked.discord.messages.find(channel, asked.number("message"))


def check_body(body: dict) -> None:
    """Refuse what is too long, too much, or contradicts itself."""
    if len(body.get("content") or "") > TEXT_LENGTH_MAX:
        raise refused.too_long("content", TEXT_LENGTH_MAX)
    if len(str(body.get("nonce") or "")) > NONCE_LENGTH_MAX:
        raise refused.too_long("nonce", NONCE_LENGTH_MAX)
    embeds = body.get("embeds") or []
    if len(embeds) > EMBEDS_MAX:
        raise refused.too_long("embeds", EMBEDS_MAX)
    if sum(_embed_length(each) for each in embeds) > EMBEDS_LENGTH_MAX:
        words = f"Embed size exceeds maximum size of {EMBEDS_LENGTH_MAX}"
        raise refused.form("embeds", "MAX_EMBED_SIZE_EXCEEDED", words)
    mentions.check(body.get("allowed_mentions"))
    if not (body.get("flags") or 0) & COMPONENTS_V2:
        check_components(body.get("components") or [])


def _embed_length(embed: dict) -> int:
    texts = [embed.get("title"), embed.get("description")]
    texts += [(embed.get("footer") or {}).get("text"), (embed.get("author") or {}).get("name")]
    for each in embed.get("fields") or []:
        texts += [each.get("name"), each.get("value")]
    return sum(len(text or "") for text in texts)


def check_components(rows: list[dict]) -> None:
    """Rows of at most five buttons, with ids that differ."""
    if len(rows) > ROWS_MAX:
        raise refused.too_long("components", ROWS_MAX)
    ids = []
    for number, row in enumerate(rows):
        buttons, path = row.get("components") or [], f"components.{number}.components"
        if not 1 <= len(buttons) <= BUTTONS_MAX:
            words = f"Must be between 1 and {BUTTONS_MAX} in length."
            raise refused.form(path, "BASE_TYPE_BAD_LENGTH", words)
        for place, button in enumerate(buttons):
            refused.bounded(f"{path}.{place}.label", button.get("label"), 0, LABEL_LENGTH_MAX)
            custom_id = button.get("custom_id")
            refused.bounded(f"{path}.{place}.custom_id", custom_id, 1, CUSTOM_ID_LENGTH_MAX)
            ids += [custom_id] if custom_id else []
    if len(set(ids)) < len(ids):
        words = "Component custom id cannot be duplicated"
        raise refused.form("components", "COMPONENT_CUSTOM_ID_DUPLICATED", words)


def files_of(asked: Asked, body: dict) -> list[Attachment]:
    """The files that came with a request, kept, with what the body says of them."""
    if len(asked.files) > FILES_MAX:
        raise refused.too_long("attachments", FILES_MAX)
    said = {str(each.get("id")): each for each in body.get("attachments") or []}
    made = []
    for part, (name, data, _) in asked.files.items():
        if len(data) > FILE_BYTES_MAX:
            raise Refused(413, 40005, "Request entity too large")
        about = said.get(part.removeprefix("files[").removesuffix("]"), {})
        (kept,) = asked.discord.rest.attach({about.get("filename") or name: data})
        kept.description = about.get("description")
        made.append(kept)
    return made


def draft_of(asked: Asked, body: dict) -> Draft:
    """What a checked body wants to say."""
    draft = Draft(
        text=body.get("content") or "",
        flags=(body.get("flags") or 0) & SETTABLE,
        nonce=body.get("nonce"),
        enforce_nonce=bool(body.get("enforce_nonce")),
        embeds=[{**each, "type": "rich"} for each in body.get("embeds") or []],
        components=body.get("components") or [],
        attachments=files_of(asked, body),
        allowed=body.get("allowed_mentions"),
    )
    said = draft.text.strip() or draft.embeds or draft.components or draft.attachments
    if not said:
        raise refused.empty()
    return draft


def _may_write_to(asked: Asked, direct: Channel) -> bool:
    """A bot writes to people of a server that it is in, who want it."""
    us = asked.me.user
    return not any(user.refuses_dms for user in direct.recipients) and any(
        all(user.id in guild.members for user in (us, *direct.recipients))
        for guild in asked.discord.guilds.values()
    )


@route(f"POST {MESSAGES}")
def create(asked: Asked) -> dict:
    channel = channel_of(asked)
    is_thread = channel.is_thread
    channel_of(asked, P.SEND_MESSAGES_IN_THREADS if is_thread else P.SEND_MESSAGES)
    if asked.files:
        channel_of(asked, P.ATTACH_FILES)
    if channel.recipients and not _may_write_to(asked, channel):
        raise Refused(403, 50007, "Cannot send messages to this user")
    if channel.type == FORUM:
        raise Refused(400, 50008, "Cannot send messages in a non-text channel")
    check_body(asked.body)
    reply_to = _reference(asked, channel)
    draft = draft_of(asked, asked.body)
    draft.reply_to = reply_to
    message = asked.discord.messages.post(channel, asked.me.user, draft)
    body = asked.discord.rest.message(message, asked.me)
    return body | ({"nonce": message.nonce} if message.nonce is not None else {})


def _reference(asked: Asked, channel: Channel) -> Message | None:
    reference = asked.body.get("message_reference")
    if not reference:
        return None
    channel_of(asked, P.READ_MESSAGE_HISTORY)
    found = channel.messages.get(int(reference["message_id"]))
    if found is None and reference.get("fail_if_not_exists", True):
        raise refused.form("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
    return found


@route(f"GET {MESSAGES}")
def listed(asked: Asked) -> list[dict]:
    channel = channel_of(asked)
    if channel.type != DM and not permissions(asked.me.user, channel) & P.READ_MESSAGE_HISTORY:
        return []
    limit = int(asked.query.get("limit", 50))
    if not 1 <= limit <= 100:
        words = "int value should be between 1 and 100."
        raise refused.form("limit", "NUMBER_TYPE_RANGE", words)
    newest_first = sorted(channel.messages, reverse=True)
    if "before" in asked.query:
        found = [each for each in newest_first if each < int(asked.query["before"])][:limit]
    elif "after" in asked.query:
        found = [each for each in newest_first if each > int(asked.query["after"])][-limit:]
    elif "around" in asked.query:
        middle = int(asked.query["around"])
        older = [each for each in newest_first if each <= middle][: limit - limit // 2]
        newer = [each for each in newest_first if each > middle][
            -(limit // 2) or len(channel.messages) :
        ]
        found = newer + older
    else:
        found = newest_first[:limit]
    return [asked.discord.rest.message(channel.messages[each], asked.me) for each in found]


@route(f"GET {MESSAGE}")
def one(asked: Asked) -> dict:
    channel = channel_of(asked, P.READ_MESSAGE_HISTORY)
    return asked.discord.rest.message(message_of(asked, channel), asked.me)


@route(f"PATCH {MESSAGE}")
def edit(asked: Asked) -> dict:
    channel = channel_of(asked)
    message = message_of(asked, channel)
    if message.author is not asked.me.user:
        raise Refused(403, 50005, "Cannot edit a message authored by another user")
    if channel.archived:
        raise refused.archived()
    if channel.locked and not permissions(asked.me.user, channel) & P.MANAGE_THREADS:
        raise refused.locked()
    check_body(asked.body)
    asked.discord.messages.limit_old_edits(message)
    apply_edit(asked, message)
    return asked.discord.rest.message(message, asked.me)


def apply_edit(asked: Asked, message: Message, body: dict | None = None) -> None:
    """Change what the body names; a null empties it."""
    body = asked.body if body is None else body
    kept = None
    if "attachments" in body or asked.files:
        new = files_of(asked, body)
        named = {str(each.get("id")) for each in body.get("attachments") or []}
        retained = "attachments" not in body
        kept = [each for each in message.attachments if retained or str(each.id) in named] + new
    changes: dict[str, Any] = {
        key: body[key] or [] for key in ("embeds", "components") if key in body
    }
    text = (body["content"] or "") if "content" in body else None
    said = text if text is not None else message.text
    left = changes.get("embeds", message.embeds) or changes.get("components", message.components)
    if not (said.strip() or left or (message.attachments if kept is None else kept)):
        raise refused.empty()
    if body.get("flags") is not None:
        changes["flags"] = message.flags & ~EDITABLE | body["flags"] & EDITABLE
    allowed = body.get("allowed_mentions")
    asked.discord.messages.edit(message, text=text, attachments=kept, allowed=allowed, **changes)


@route(f"DELETE {MESSAGE}")
def delete(asked: Asked) -> None:
    channel = channel_of(asked)
    message = message_of(asked, channel)
    if message.author is not asked.me.user:
        channel_of(asked, P.MANAGE_MESSAGES)
    asked.discord.messages.delete(message)


@route(f"PUT {REACTION}/@me")
def react(asked: Asked) -> None:
    channel = channel_of(asked, P.READ_MESSAGE_HISTORY)
    message = message_of(asked, channel)
    if asked.path["emoji"].isascii() and ":" not in asked.path["emoji"]:
        raise refused.unknown("Emoji")
    if asked.path["emoji"] not in message.reactions:
        channel_of(asked, P.ADD_REACTIONS)
    asked.discord.messages.react(message, asked.me.user, asked.path["emoji"])


@route(f"DELETE {REACTION}/@me")
def unreact(asked: Asked) -> None:
    message = message_of(asked, channel_of(asked, P.READ_MESSAGE_HISTORY))
    asked.discord.messages.unreact(message, asked.me.user, asked.path["emoji"])


@route(f"DELETE {REACTION}/{{user}}")
def unreact_other(asked: Asked) -> None:
    message = message_of(asked, channel_of(asked, P.MANAGE_MESSAGES))
    user = asked.discord.users.get(asked.number("user"))
    if user is None:
        raise refused.unknown("User")
    asked.discord.messages.unreact(message, user, asked.path["emoji"])


@route(f"GET {REACTION}")
def reactions(asked: Asked) -> list[dict]:
    message = message_of(asked, channel_of(asked))
    after, limit = int(asked.query.get("after", 0)), int(asked.query.get("limit", 25))
    users = sorted(message.reactions.get(asked.path["emoji"], {}).items())
    return [payloads.user(user) for number, user in users if number > after][:limit]
