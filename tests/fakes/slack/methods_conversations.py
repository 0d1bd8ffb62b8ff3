"""conversations.*"""

from __future__ import annotations

from tests.fakes.slack.web_api import Answer, Call, Refused, method
from tests.fakes.slack.world import KIND_SCOPES, Channel, Message

PEOPLE_OF_MPIM_MAX = 8
REPLIES_PAGE = 1_000
HISTORY_PAGE = 100
NEVER_THREADS = ("channel_join", "channel_leave")
OUTSIDE_PAGE_MAX = 15
"""Messages a page where an app is distributed outside the marketplace."""


@method("conversations.info")
def info(call: Call) -> Answer:
    channel = call.channel("read")
    shown = channel.payload(call.bot.user)
    if call.flag("include_num_members"):
        shown["num_members"] = len(channel.members)
    return {"channel": shown}


@method("conversations.members")
def members(call: Call) -> Answer:
    channel = call.channel("read")
    ids, cursor = call.page([member.id for member in channel.members])
    return {"members": ids, "response_metadata": {"next_cursor": cursor}}


@method("conversations.join")
def join(call: Call) -> Answer:
    channel = call.channel()
    if channel.kind != "channel":
        raise Refused("method_not_supported_for_channel_type")
    if channel.archived:
        raise Refused("is_archived")
    answer: Answer = {}
    if call.bot.user in channel.members:
        answer["warning"] = "already_in_channel"
    else:
        call.slack.joins(channel, call.bot.user)
    return answer | {"channel": channel.payload(call.bot.user)}


@method("conversations.open")
def open_conversation(call: Call) -> Answer:
    if call.text("channel"):
        return {"channel": {"id": call.channel().id}, "no_op": True, "already_open": True}
    ids = [each for each in call.text("users").split(",") if each]
    if not ids:
        raise Refused("users_list_not_supplied")
    if len(ids) > PEOPLE_OF_MPIM_MAX:
        raise Refused("too_many_users")
    call.need("im:write" if len(ids) == 1 else "mpim:write")
    known = {person.id: person for person in call.slack.people() if call.team.sees(person)}
    if any(each not in known for each in ids):
        raise Refused("user_not_found")
    people = [known[each] for each in ids]
    if any(person.deleted for person in people):
        raise Refused("user_disabled")
    channel = call.slack.direct(call.bot.user, *people)
    whole = call.flag("return_im")
    return {"channel": channel.payload(call.bot.user) if whole else {"id": channel.id}}


@method("conversations.history")
def history(call: Call) -> Answer:
    channel = call.channel("history")
    call.inside(channel)
    newest_first = [message for message in channel.public() if _in_channel(message)][::-1]
    return _messages(call, newest_first, HISTORY_PAGE)


@method("conversations.replies")
def replies(call: Call) -> Answer:
    channel = call.channel("history")
    call.inside(channel)
    message = channel.find(call.text("ts"))
    thread = channel.thread(message.place if message else call.text("ts"))
    if not thread or thread[0].subtype in NEVER_THREADS:
        raise Refused("thread_not_found")
    return _messages(call, thread, REPLIES_PAGE)


@method("users.conversations")
def of_user(call: Call) -> Answer:
    person = call.person("user") if call.text("user") else call.bot.user
    names = {"channel": "public_channel", "group": "private_channel", "im": "im", "mpim": "mpim"}
    wanted = call.text("types", "public_channel").split(",")
    if any(kind not in names.values() for kind in wanted):
        raise Refused("invalid_types")
    kinds = [kind for kind in KIND_SCOPES if names[kind] in wanted]
    for kind in kinds:
        call.need(f"{KIND_SCOPES[kind]}:read")
    found = [channel for channel in call.team.channels if person in channel.members]
    found = [channel for channel in found if channel.kind in kinds and _may_know(call, channel)]
    if call.flag("exclude_archived"):
        found = [channel for channel in found if not channel.archived]
    page, cursor = call.page(found)
    shown = [channel.payload(call.bot.user) for channel in page]
    return {"channels": shown, "response_metadata": {"next_cursor": cursor}}


def _may_know(call: Call, channel: Channel) -> bool:
    return channel.kind == "channel" or call.bot.user in channel.members


def _in_channel(message: Message) -> bool:
    return not message.is_reply or message.subtype == "thread_broadcast"


def _messages(call: Call, messages: list[Message], page_size: int) -> Answer:
    """Those between `oldest` and `latest`, by pages; a thread's root always comes first."""
    oldest, latest = call.text("oldest", "0"), call.text("latest")
    inclusive = call.flag("inclusive")
    root = messages[0].ts if messages and call.text("ts") else None
    for name, value in (("oldest", oldest), ("latest", latest)):
        if value and not value.replace(".", "", 1).isdigit():
            raise Refused(f"invalid_ts_{name}")

    def between(message: Message) -> bool:
        moment = float(message.ts)
        if message.ts == root or (inclusive and message.ts in (oldest, latest)):
            return True
        return float(oldest or 0) < moment and (not latest or moment < float(latest))

    found = [message for message in messages if between(message)]
    page, cursor = call.page(found, OUTSIDE_PAGE_MAX if call.slack.limits.outside else page_size)
    whole = call.flag("include_all_metadata")
    answer: Answer = {"messages": [message.payload(metadata=whole) for message in page]}
    answer["has_more"] = bool(cursor)
    if cursor:
        answer["response_metadata"] = {"next_cursor": cursor}
    return answer
