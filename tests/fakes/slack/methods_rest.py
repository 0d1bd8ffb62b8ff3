"""auth, apps, users, team, bots, reactions, agent sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.fakes.slack.methods_chat import permalink
from tests.fakes.slack.web_api import Answer, Call, Refused, method
from tests.fakes.slack.world import Channel, Message

REACTIONS_MAX = 23
"""Different emoji on one message, of one person."""
EMOJI_OF_MESSAGE_MAX = 50
TITLE_MAX = 200
PROCESSING_SECONDS = 3600.0
STATUSES = ("active", "processing", "suspended", "closed")


@dataclass(kw_only=True)
class AgentSession:
    clock: Callable[[], float]
    given: str
    given_at: float
    title: str | None = None
    statuses: list[str]
    """Every one it was given, in order."""

    @property
    def status(self) -> str:
        """As people see it: nothing is processed for ever."""
        late = self.clock() - self.given_at > PROCESSING_SECONDS
        return "active" if self.given == "processing" and late else self.given


@method("auth.test")
def auth_test(call: Call) -> Answer:
    bot, team = call.bot, call.team
    answer = {"url": f"https://{team.name}.slack.com/", "team": team.name, "user": bot.user.name}
    answer |= {"team_id": team.id, "user_id": bot.user.id, "bot_id": bot.bot_id}
    if team.enterprise_id:
        answer["enterprise_id"] = team.enterprise_id
    return answer | {"is_enterprise_install": False}


@method("apps.connections.open")
def connections_open(call: Call) -> Answer:
    return {"url": call.slack.out.sockets.ticket()}


@method("bots.info")
def bots_info(call: Call) -> Answer:
    for install in call.slack.installs():
        if install.bot_id == call.text("bot") and install.team is call.team:
            return {"bot": install.profile()}
    for person in call.slack.people():
        if person.bot_id and person.bot_id == call.text("bot") and call.team.sees(person):
            shown = {"id": person.bot_id, "deleted": person.deleted, "name": person.name}
            shown |= {"updated": 1, "app_id": person.app_id, "user_id": person.id}
            return {"bot": shown}
    raise Refused("bot_not_found")


@method("users.info")
def users_info(call: Call) -> Answer:
    person = call.person("user")
    shown = person.payload(call.team, "users:read.email" in call.scopes)
    return {"user": shown | ({"locale": person.locale} if call.flag("include_locale") else {})}


@method("users.list")
def users_list(call: Call) -> Answer:
    page, cursor = call.page(call.team.people)
    email = "users:read.email" in call.scopes
    shown = [person.payload(call.team, email) for person in page]
    return {"members": shown, "cache_ts": 1, "response_metadata": {"next_cursor": cursor}}


@method("team.info")
def team_info(call: Call) -> Answer:
    wanted = call.text("team", call.team.id)
    for team in call.slack.workspaces:
        near = team is call.team or any(team in channel.teams for channel in call.team.channels)
        if team.id == wanted and near:
            shown: dict[str, Any] = {"id": team.id, "name": team.name, "domain": team.name}
            shown |= {"email_domain": "", "icon": {"image_default": True}}
            if team.enterprise_id:
                shown |= {"enterprise_id": team.enterprise_id, "enterprise_name": team.name}
            return {"team": shown}
    raise Refused("team_not_found")


@method("reactions.add")
def reactions_add(call: Call) -> Answer:
    message, name = _reacted(call), _emoji(call)
    if message.channel.archived:
        raise Refused("is_archived")
    call.inside(message.channel)
    mine = [each for each, users in message.reactions.items() if call.bot.user.id in users]
    if name in mine:
        raise Refused("already_reacted")
    if len(mine) >= REACTIONS_MAX:
        raise Refused("too_many_reactions")
    if name not in message.reactions and len(message.reactions) >= EMOJI_OF_MESSAGE_MAX:
        raise Refused("too_many_emoji")
    call.slack.messages.react(message, call.bot.user, name)
    return {}


@method("reactions.remove")
def reactions_remove(call: Call) -> Answer:
    message, name = _reacted(call), _emoji(call)
    if not call.slack.messages.unreact(message, call.bot.user, name):
        raise Refused("no_reaction")
    return {}


@method("reactions.get")
def reactions_get(call: Call) -> Answer:
    message = _reacted(call)
    shown = message.payload() | {"permalink": permalink(message)}
    return {"type": "message", "channel": message.channel.id, "message": shown}


@method("agents.sessions.setStatus")
def set_status(call: Call) -> Answer:
    channel, thread_ts = _agent_thread(call)
    status = call.text("status")
    if status not in STATUSES:
        raise Refused("invalid_status")
    if any(call.text(name) for name in ("icon_emoji", "icon_url", "username")):
        call.need("chat:write.customize")
    initiator = call.text("initiator_user_id")
    if initiator and initiator not in [member.id for member in channel.members]:
        raise Refused("user_not_found")
    title, clock = call.text("title")[:TITLE_MAX] or None, call.slack.limits.clock
    session = call.slack.sessions.setdefault(
        (channel.id, thread_ts),
        AgentSession(clock=clock, given=status, given_at=0.0, title=title, statuses=[]),
    )
    session.given, session.given_at = status, clock()
    session.statuses.append(status)
    answer = {"status": status, "agent_status": status, "title": session.title}
    if "agent_session_stopped" not in call.slack.app.subscriptions:
        answer["warning"] = "missing_agent_session_stopped_event_subscription"
    return answer


@method("agents.sessions.rename")
def rename(call: Call) -> Answer:
    channel, thread_ts = _agent_thread(call)
    title = call.text("title")
    if not title or len(title) > TITLE_MAX:
        raise Refused("invalid_name")
    if channel.archived:
        raise Refused("is_archived")
    session = call.slack.sessions.get((channel.id, thread_ts))
    if session is None:
        raise Refused("session_not_found")
    session.title = title
    return {"title": title}


def _agent_thread(call: Call) -> tuple[Channel, str]:
    """Where the session is; only an app that is declared an agent has any."""
    if not call.team.has_agent_sessions:
        raise Refused("feature_disabled")
    if not call.slack.app.is_agent:
        raise Refused("not_authorized")
    channel = call.channel(name="channel_id")
    if call.bot.user not in channel.members:
        raise Refused("not_authorized")
    thread_ts = call.text("thread_ts")
    if not thread_ts:
        raise Refused("thread_ts_required")
    return channel, thread_ts


def _reacted(call: Call) -> Message:
    if not call.text("channel") or not call.text("timestamp"):
        raise Refused("no_item_specified")
    return call.message(call.channel(), "timestamp")


def _emoji(call: Call) -> str:
    name = call.text("name").strip(":")
    if not name or not name.replace("_", "").replace("-", "").replace("+", "").isalnum():
        raise Refused("invalid_name")
    return name
