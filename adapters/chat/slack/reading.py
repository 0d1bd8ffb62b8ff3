"""What Slack delivers, turned into what was said; see docs.slack.dev/reference/events."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from adapters.chat.incoming import (
    Author,
    Chosen,
    Heard,
    Joined,
    Opened,
    Reacted,
    Renamed,
    Reworded,
    Said,
    Spot,
    Withdrawn,
)
from adapters.chat.slack import markup, picking
from adapters.chat.slack.directory import Directory, Ourselves
from adapters.chat.slack.history import History, words_of
from adapters.chat.slack.places import Place
from adapters.chat.slack.port import SURFACE

Body = Mapping[str, Any]

SPOKEN = frozenset({None, "file_share", "thread_broadcast", "me_message"})
"""Subtypes of messages that a person wrote."""
STONE = "tombstone"
"""Subtype of what stands where a message was deleted that has replies: it is told as an edit."""
STOP_REACTIONS = frozenset({"x", "raised_hand", "octagonal_sign"})


class Reader:
    """Reads deliveries of one workspace."""

    def __init__(
        self,
        directory: Directory,
        history: History,
        ourselves: Ourselves,
        *,
        start_reaction: str = "",
    ) -> None:
        """Names and channels are asked of `directory`, what was said before of `history`.

        :param start_reaction: which sends a message to us; "": none does
        """
        self._start_reaction = start_reaction
        self._directory = directory
        self._history = history
        self._us = ourselves

    async def event(self, body: Body) -> Heard | None:
        """What an event says; None: nothing for us. :raises ChatError: Slack can't be asked"""
        event = body["event"]
        match event.get("type"):
            case "message" | "app_mention":
                return await self._message(body, event)
            case "reaction_added":
                return await self._reaction(body, event)
            case "member_joined_channel":
                return await self._joined(body, event)
            case "app_home_opened" if event.get("tab") == "home":
                author = await self._directory.author(event["user"])
                return Opened(surface=SURFACE, author=author)
            case "agent_session_stopped" | "agent_session_title_changed":
                return await self._of_agent_session(body, event)
        return None

    async def action(self, body: Body) -> Said | Chosen | None:
        """What a pressed button says."""
        action = body["actions"][0]
        if (body.get("view") or {}).get("type") == "home":
            author = await self._directory.author(body["user"]["id"])
            return Chosen(surface=SURFACE, author=author, says=markup.chosen(action))
        channel = (body.get("channel") or {}).get("id")
        container = body.get("container") or {}
        message = body.get("message") or {}
        ts = container.get("message_ts") or message.get("ts")
        if not channel or not ts:
            return None
        thread = container.get("thread_ts") or message.get("thread_ts") or ts
        spot = await self._spot(channel, thread, body)
        key = f"{spot.channel}/{ts}/{action.get('action_ts')}/{body['user']['id']}"
        said = await self._pressed(spot, body["user"]["id"], str(action.get("value") or ""), key)
        # What one person alone sees can't be edited like a post.
        return said if container.get("is_ephemeral") else replace(said, post=str(ts))

    async def presser(self, body: Body) -> Author:
        """Who pressed a button, or sent a form."""
        return await self._directory.author(body["user"]["id"])

    async def picked(self, body: Body) -> Said | None:
        """What a button says with the moment that was chosen; None: none was."""
        found = picking.chosen(body["view"])
        if found is None:
            return None
        at, says = found
        spot = await self._spot(at.channel, at.thread, body)
        key = f"{spot.channel}/{body['view']['id']}/{body['user']['id']}"
        return await self._pressed(spot, body["user"]["id"], says, key)

    async def sent(self, body: Body) -> Said:
        """A message that somebody sent to us by its menu."""
        return await self._sent(body, body["message"], body["channel"]["id"], body["user"]["id"])

    async def _sent(self, body: Body, message: Body, channel: str, user: str) -> Said:
        spot = await self._spot(channel, message.get("thread_ts") or message["ts"], body)
        # However they send it, it is sent once.
        key = f"{spot.channel}/{message['ts']}/sent/{user}"
        words = markup.without_mention(words_of(message), self._us.user)
        text = await self._directory.plain(words)
        said = await self._typed(spot, user, text, key, ref=message["ts"])
        return await self._history.with_material(said, {**message, "channel": channel})

    async def command(self, body: Body, *, thread: str) -> Said:
        """A slash command; `thread` is what its answer stands under, or empty."""
        spot = await self._spot(body["channel_id"], thread, body)
        words = markup.without_mention(str(body.get("text") or ""), self._us.user)
        text = await self._directory.plain(words)
        key = f"{spot.channel}/slash/{body['trigger_id']}"
        return await self._typed(spot, body["user_id"], text, key, ref=thread)

    async def _message(self, body: Body, event: Body) -> Said | Reworded | Withdrawn | None:
        subtype = event.get("subtype")
        buried = (event.get("message") or {}).get("subtype") == STONE
        if subtype == "message_deleted" or (subtype == "message_changed" and buried):
            return await self._deleted(body, event)
        if subtype == "message_changed":
            return await self._changed(body, event)
        if subtype not in SPOKEN or not event.get("user"):
            return None
        spot = await self._spot(event["channel"], event.get("thread_ts") or event["ts"], body)
        text = str(event.get("text") or "")
        mentioned = markup.mentions(text)
        said = Said(
            spot=spot,
            author=await self._author(event),
            delivery=body["event_id"],
            key=f"{spot.channel}/{event['ts']}",
            ref=event["ts"],
            text=await self._directory.plain(markup.without_mention(text, self._us.user)),
            to_us=spot.direct or self._us.user in mentioned,
            to_others=markup.mentions_many(text)
            or any(user != self._us.user for user in mentioned),
            post=_answered(spot, event),
        )
        return await self._history.with_material(said, event)

    async def _changed(self, body: Body, event: Body) -> Reworded | None:
        now, before = event.get("message") or {}, event.get("previous_message") or {}
        if not now.get("user") or now.get("bot_id") or now.get("text") == before.get("text"):
            return None
        spot = await self._spot(event["channel"], now.get("thread_ts") or now["ts"], body)
        text = markup.without_mention(str(now.get("text") or ""), self._us.user)
        return Reworded(
            spot=spot,
            author=await self._author(now),
            key=f"{spot.channel}/{now['ts']}",
            text=await self._directory.plain(text),
            at=_edited_at(now),
        )

    async def _deleted(self, body: Body, event: Body) -> Withdrawn | None:
        before = event.get("previous_message") or {}
        if not before.get("user") or before.get("bot_id"):
            return None
        ts = event.get("deleted_ts") or before["ts"]
        spot = await self._spot(event["channel"], before.get("thread_ts") or ts, body)
        return Withdrawn(spot=spot, author=await self._author(before), key=f"{spot.channel}/{ts}")

    async def _reaction(self, body: Body, event: Body) -> Said | Reacted | None:
        item = event.get("item") or {}
        if item.get("type") != "message" or event.get("user") == self._us.user:
            return None
        ours = event.get("item_user") == self._us.user
        if not ours and self._start_reaction and event.get("reaction") == self._start_reaction:
            return await self._started(body, event)
        if not ours or event.get("reaction") not in STOP_REACTIONS:
            return None
        spot = await self._spot(item["channel"], item["ts"], body)
        return Reacted(
            surface=SURFACE,
            channel=spot.channel,
            shared=spot.shared,
            author=await self._directory.author(event["user"]),
            delivery=body["event_id"],
            ref=item["ts"],
        )

    async def _started(self, body: Body, event: Body) -> Said | None:
        """The message that somebody reacted to, as if they had sent it to us by its menu."""
        channel, ts = event["item"]["channel"], event["item"]["ts"]
        author = await self._directory.author(event["user"])
        spot = await self._spot(channel, ts, body)
        # People react to say something to each other: who may not ask us is not told so.
        if author.standing != "member" or spot.shared:
            return None
        message = await self._history.read(channel, ts)
        if message is None or not words_of(message):
            return None
        return await self._sent(body, message, channel, author.id)

    async def _of_agent_session(self, body: Body, event: Body) -> Said | Renamed:
        """Somebody pressed Slack's own stop button, or changed the title that Slack shows."""
        spot = await self._spot(event["channel"], event["thread_ts"], body)
        if event["type"] == "agent_session_stopped":
            return await self._pressed(spot, event["user"], "stop", body["event_id"])
        author = await self._directory.author(event["user"])
        return Renamed(spot=spot, author=author, title=str(event.get("title") or ""))

    async def _joined(self, body: Body, event: Body) -> Joined | None:
        if event.get("user") != self._us.user:
            return None
        spot = await self._spot_of(Place(self._us.team, event["channel"], ""), body)
        return Joined(spot=spot, delivery=body["event_id"])

    async def _typed(self, spot: Spot, user: str, text: str, key: str, *, ref: str) -> Said:
        said = await self._pressed(spot, user, text, key)
        return replace(said, typed=True, ref=ref)

    async def _pressed(self, spot: Spot, user: str, says: str, key: str) -> Said:
        return Said(
            spot=spot,
            author=await self._directory.author(user),
            delivery=key,
            key=key,
            ref="",
            text=says,
            to_us=True,
            pressed=True,
        )

    async def _author(self, event: Body) -> Author:
        user = event["user"]
        if event.get("bot_id") or user == self._us.user:
            return Author(account=self._us.team, id=user, name=user, standing="bot")
        return await self._directory.author(user)

    async def _spot(self, channel: str, thread: str, body: Body) -> Spot:
        direct = channel.startswith("D")
        return await self._spot_of(Place(self._us.team, channel, "" if direct else thread), body)

    async def _spot_of(self, place: Place, body: Body) -> Spot:
        shared = body.get("is_ext_shared_channel")
        if shared is None:
            shared = await self._directory.is_shared(place.channel)
        return Spot(
            surface=SURFACE,
            channel=f"{place.team}/{place.channel}",
            place=str(place),
            direct=place.channel.startswith("D"),
            shared=bool(shared),
        )


def _edited_at(message: Body) -> datetime | None:
    """When a message was edited; Slack may deliver an older edit after a newer one."""
    ts = (message.get("edited") or {}).get("ts")
    return datetime.fromtimestamp(float(ts), UTC) if ts else None


def _answered(spot: Spot, event: Body) -> str:
    """The post below which something was said in a direct message: that is one place."""
    below = str(event.get("thread_ts") or "")
    return below if spot.direct and below != event["ts"] else ""
