"""chat.*"""

from __future__ import annotations

import json
import time
from typing import Any

from tests.fakes.slack import blocks as block_rules
from tests.fakes.slack.web_api import Answer, Call, Refused, method
from tests.fakes.slack.world import Channel, Message

TEXT_MAX = 40_000
"""Characters; a longer text is cut off when it is posted."""
UPDATE_TEXT_MAX = 4_000
METADATA_TYPE_MAX = 255
METADATA_BYTES_MAX = 16_000
"""A guess: that there is a limit is published, how much it is is not."""


@method("chat.postMessage")
def post_message(call: Call) -> Answer:
    channel = _writable(call)
    text, blocks = _content(call)
    message = Message(
        channel=channel,
        ts=call.slack.stamps.ts(),
        author=call.bot.user,
        text=text[:TEXT_MAX],
        blocks=blocks,
        attachments=call.json("attachments", "invalid_attachments"),
        thread_ts=_thread(call, channel),
        metadata=_metadata(call),
        install=call.bot,
        unfurl={name: call.flag(name) for name in ("unfurl_links", "unfurl_media", "mrkdwn")},
    )
    if not blocks:
        # A file is shown, and shared, where its owner's message has its link.
        mine = (one for one in call.slack.files.values() if one.owner is call.bot.user)
        message.files = [one for one in mine if one.permalink in text and one.data is not None]
    if message.is_reply and call.flag("reply_broadcast"):
        message.subtype = "thread_broadcast"
    if call.text("username"):
        call.need("chat:write.customize")
        message.subtype, message.username = "bot_message", call.text("username")
    call.slack.messages.post(message)
    return {"channel": channel.id, "ts": message.ts, "message": message.payload()}


@method("chat.update")
def update(call: Call) -> Answer:
    channel = call.channel()
    message = call.message(channel, "ts")
    if message.install is not call.bot:
        raise Refused("cant_update_message")
    if channel.archived:
        raise Refused("is_inactive")
    window = call.team.edit_window_seconds
    if window is not None and time.time() - float(message.ts) > window:
        raise Refused("edit_window_closed")
    text, blocks = _content(call)
    if len(text) > UPDATE_TEXT_MAX:
        raise Refused("msg_too_long")
    changes: dict[str, Any] = {}
    if "text" in call.args:
        changes |= {"text": text, "blocks": blocks}
    elif blocks is not None:
        changes["blocks"] = blocks
    if "metadata" in call.args:
        changes["metadata"] = _metadata(call)
    if call.flag("reply_broadcast") and message.is_reply:
        changes["subtype"] = "thread_broadcast"
    call.slack.messages.edit(message, call.bot.user, changes)
    answer = {"channel": channel.id, "ts": message.ts, "text": message.text}
    return answer | {"message": message.payload()}


@method("chat.delete")
def delete(call: Call) -> Answer:
    channel = call.channel()
    message = call.message(channel, "ts")
    if message.install is not call.bot:
        raise Refused("cant_delete_message")
    call.slack.messages.delete(message)
    return {"channel": channel.id, "ts": message.ts}


@method("chat.postEphemeral")
def post_ephemeral(call: Call) -> Answer:
    channel = _writable(call)
    text, blocks = _content(call)
    if len(text) > TEXT_MAX:
        raise Refused("msg_too_long")
    person = next((one for one in channel.members if one.id == call.text("user")), None)
    if person is None:
        raise Refused("user_not_in_channel")
    message = Message(
        channel=channel,
        ts=call.slack.stamps.ts(),
        author=call.bot.user,
        text=text,
        blocks=blocks,
        thread_ts=_thread(call, channel),
        install=call.bot,
        only_for=person,
    )
    call.slack.messages.whisper(message)
    return {"message_ts": message.ts}


@method("chat.getPermalink")
def get_permalink(call: Call) -> Answer:
    channel = call.channel()
    message = call.message(channel, "message_ts")
    return {"channel": channel.id, "permalink": permalink(message)}


def permalink(message: Message) -> str:
    """The address at which people find a message."""
    team, channel = message.channel.team, message.channel
    link = f"https://{team.name}.slack.com/archives/{channel.id}/p{message.ts.replace('.', '')}"
    return f"{link}?thread_ts={message.thread_ts}&cid={channel.id}" if message.is_reply else link


def _writable(call: Call) -> Channel:
    """Where to post: a conversation, or a person whose direct messages are meant."""
    if call.text("channel")[:1] in ("U", "W"):
        return call.slack.direct(call.bot.user, call.person("channel"))
    channel = call.channel()
    if channel.archived:
        raise Refused("is_archived")
    may_from_outside = channel.kind == "channel" and "chat:write.public" in call.scopes
    if call.bot.user not in channel.members and not may_from_outside:
        raise Refused("not_in_channel")
    return channel


def _thread(call: Call, channel: Channel) -> str | None:
    """The root of the thread; what answers something that is not there is seen nowhere."""
    ts = call.text("thread_ts")
    found = channel.find(ts) if ts else None
    if ts and found is None and not channel.thread(ts) and not call.slack.orphans:
        raise Refused("thread_not_found")
    return found.place if found else ts or None


def _content(call: Call) -> tuple[str, list[dict[str, Any]] | None]:
    blocks = call.json("blocks", "invalid_blocks_format")
    text = call.text("text")
    markdown = call.text("markdown_text")
    if markdown:
        if text or blocks:
            raise Refused("markdown_text_conflict")
        blocks = [{"type": "markdown", "text": markdown}]
        text = markdown
    if not blocks:
        if not text and not call.args.get("attachments"):
            raise Refused("no_text")
        return text, None
    if fault := block_rules.fault(blocks):
        raise Refused(fault)
    return text, block_rules.with_ids(blocks, lambda: call.slack.stamps.new("b"))


def _metadata(call: Call) -> dict[str, Any] | None:
    metadata = call.json("metadata", "invalid_metadata_format")
    if not metadata:
        return None
    kind = metadata.get("event_type") if isinstance(metadata, dict) else None
    if not isinstance(kind, str) or not isinstance(metadata.get("event_payload"), dict):
        raise Refused("invalid_metadata_format")
    if len(kind) > METADATA_TYPE_MAX or len(json.dumps(metadata)) > METADATA_BYTES_MAX:
        raise Refused("metadata_too_large")
    return dict(metadata)
