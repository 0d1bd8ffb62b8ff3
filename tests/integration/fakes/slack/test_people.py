"""What people of the fake Slack do, what the real slack_bolt hears of it, what they see."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.slack.interactions import Unanswered
from tests.fakes.slack.messages import pinged
from tests.fakes.slack.people import NotAllowed
from tests.integration.fakes.slack.town import Town, refused

BUTTON = {"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}}
BLOCKS = [
    {"type": "section", "text": {"type": "mrkdwn", "text": "*ready*?"}},
    {"type": "actions", "elements": [BUTTON | {"value": "v1"}]},
]


async def test_edits_and_deletions_are_told_with_what_was_before(town: Town) -> None:
    async with town.listening():
        said = town.ann.says(town.general, "one")
        town.ann.edits(said, "two")
        town.ann.deletes(said)
        _, change, deletion = await town.hears("message", 3)
        assert (change["subtype"], deletion["subtype"]) == ("message_changed", "message_deleted")
        assert change["previous_message"]["text"] == "one"
        assert change["message"]["text"] == "two"
        assert change["message"]["edited"]["user"] == town.ann.id
        assert deletion["deleted_ts"] == said.ts
        assert town.ann.reads(town.general) == []


async def test_the_deleted_root_of_a_thread_leaves_a_stone(town: Town) -> None:
    async with town.listening():
        root = town.ann.says(town.general, "root")
        town.ben.says(town.general, "reply", thread=root)
        town.ann.deletes(root)
        stone = (await town.hears("message", 3))[2]
        assert (stone["subtype"], stone["message"]["subtype"]) == ("message_changed", "tombstone")
        assert town.ben.reads(town.general, root.ts) == ["This message was deleted.", "reply"]


async def test_every_edit_of_a_mention_is_told_as_a_mention(town: Town) -> None:
    async with town.listening():
        said = town.ann.says(town.general, f"{town.bot.mention} do ti")
        town.ann.edits(said, f"{town.bot.mention} do it")
        town.slack.messages.unfurl(said)
        await town.hears("message", 3)
        one, two = await town.hears("app_mention", 2)
        assert "edited" not in one
        assert (two["ts"], two["edited"]["user"]) == (said.ts, town.ann.id)


async def test_an_unfurled_link_changes_a_message_that_nobody_edited(town: Town) -> None:
    async with town.listening():
        town.slack.messages.unfurl(town.ann.says(town.general, "https://example.com"))
        change = (await town.hears("message", 2))[1]
        assert "edited" not in change["message"]
        assert change["message"]["text"] == change["previous_message"]["text"]


async def test_bots_and_our_own_posts_are_marked(town: Town) -> None:
    robot = town.slack.person(town.team, "robot", is_bot=True, bot_id="B1", app_id="A1")
    town.general.members.append(robot)
    async with town.listening():
        robot.says(town.general, f"{town.bot.mention} beep")
        assert (await town.hears("app_mention"))[0]["bot_id"] == "B1"
        root = await town.client.chat_postMessage(channel=town.general.id, text="mine")
        await town.client.chat_postMessage(
            channel=town.general.id, thread_ts=root["ts"], text="loud", reply_broadcast=True
        )
        beep, mine, loud = await town.hears("message", 3)
        assert (beep["subtype"], beep["bot_id"]) == ("bot_message", "B1")
        assert (mine["bot_id"], mine["app_id"]) == (town.bot.bot_id, town.slack.app.id)
        assert "subtype" not in mine
        assert "client_msg_id" not in mine
        assert (loud["subtype"], loud["root"]["text"]) == ("thread_broadcast", "mine")


async def test_direct_messages_bring_no_mention(town: Town) -> None:
    async with town.listening():
        town.ann.says(town.ann.direct(town.bot.user), f"{town.bot.mention} psst")
        [message] = await town.hears("message")
        assert message["channel_type"] == "im"
        assert town.slack.delivered("app_mention") == []


async def test_reactions_are_told(town: Town) -> None:
    async with town.listening():
        said = town.ann.says(town.general, "hello")
        town.ben.reacts(said, "eyes")
        town.ben.unreacts(said, "eyes")
        [added] = await town.hears("reaction_added")
        await town.hears("reaction_removed")
        item = {"type": "message", "channel": town.general.id, "ts": said.ts}
        assert (added["item"], added["item_user"]) == (item, town.ann.id)


async def test_strangers_come_with_their_workspace(town: Town) -> None:
    other = town.slack.workspace("other")
    sam = town.slack.person(other, "sam")
    shared = town.slack.channel(
        town.team, "shared", town.ann, sam, town.bot.user, shared_with=(other,)
    )
    async with town.listening():
        sam.says(shared, f"{town.bot.mention} hello")
        [mention] = await town.hears("app_mention")
        assert (mention["team"], mention["user_team"]) == (town.team.id, other.id)
        [wrapped] = [each.payload for each in town.slack.delivered("app_mention")]
        assert wrapped["is_ext_shared_channel"]
        assert wrapped["authorizations"][0]["team_id"] == town.team.id


async def test_the_bot_is_invited_and_kicked_and_a_channel_archived(town: Town) -> None:
    new = town.slack.channel(town.team, "new", town.ann, town.ben)
    async with town.listening():
        town.ann.says(new, f"{town.bot.mention} hello?")
        town.ann.invites(new, town.bot.user)
        [joined] = await town.hears("member_joined_channel")
        assert (joined["user"], joined["inviter"]) == (town.bot.user.id, town.ann.id)
        town.ann.kicks(new, town.bot.user)
        assert (await town.hears("channel_left"))[0]["actor_id"] == town.ann.id
        town.ann.archives(town.general)
        assert (await town.hears("channel_archive"))[0]["channel"] == town.general.id
        assert town.slack.delivered("app_mention") == []
    with pytest.raises(NotAllowed):
        town.ann.says(town.general, "anybody?")


async def test_a_command_is_answered_to_who_gave_it(town: Town) -> None:
    app = town.app()

    @app.command("/ona")
    async def ona(ack: Any, command: dict[str, Any], respond: Any) -> None:
        await ack(f"you said {command['text']}")
        await respond("and more", response_type="in_channel")

    async with town.listening(app):
        given = town.ann.commands(town.general, "/ona", "status")
        assert (await given.answer())["text"] == "you said status"
        await town.slack.until(lambda: len(town.ben.reads(town.general)) == 1)
        assert sorted(town.ann.reads(town.general)) == ["and more", "you said status"]
        assert town.ben.reads(town.general) == ["and more"]
        town.ann.reloads()
        assert town.ann.reads(town.general) == ["and more"]


async def test_a_command_that_nobody_acknowledges_fails_before_ones_eyes(town: Town) -> None:
    given = town.ann.commands(town.general, "/ona", "status")
    with pytest.raises(Unanswered):
        await given.answer()
    assert town.ann.failures == ["operation_timeout"]


async def test_a_button_is_clicked_and_a_modal_opened(town: Town) -> None:
    app = town.app()
    clicked: list[dict[str, Any]] = []

    @app.action("go")
    async def go(ack: Any, body: dict[str, Any], client: Any, respond: Any) -> None:
        await ack()
        clicked.append(body)
        title = {"type": "plain_text", "text": "Sure?"}
        view = {"type": "modal", "callback_id": "sure", "title": title, "blocks": BLOCKS[:1]}
        await client.views_open(trigger_id=body["trigger_id"], view=view)
        await respond("went", replace_original=True)

    async with town.listening(app):
        await town.client.chat_postMessage(channel=town.general.id, text="ready?", blocks=BLOCKS)
        [seen] = town.ann.sees(town.general)
        assert (seen.text, seen.shown.bold, seen.buttons) == ("ready?\n[Go]", ("ready",), ("Go",))
        await town.ann.clicks(seen.message, "Go").answer()
        await town.slack.until(lambda: town.ann.reads(town.general) == ["went"])
        assert clicked[0]["actions"][0]["value"] == "v1"
        assert clicked[0]["message"]["ts"] == seen.message.ts
        assert town.ann.modals[0]["callback_id"] == "sure"
        again = town.client.views_open(trigger_id=clicked[0]["trigger_id"], view=town.ann.modals[0])
        assert await refused(again) == "exchanged_trigger_id"
        with pytest.raises(NotAllowed):
            town.ann.clicks(seen.message, "Go")


async def test_a_shortcut_knows_its_message_and_a_modal_is_submitted(town: Town) -> None:
    app = town.app()
    heard: list[Any] = []

    @app.shortcut("fix_this")
    async def fix_this(ack: Any, shortcut: dict[str, Any], client: Any) -> None:
        await ack()
        heard.append(shortcut["message"]["text"])
        title = {"type": "plain_text", "text": "How?"}
        view = {"type": "modal", "callback_id": "how", "title": title, "blocks": BLOCKS[:1]}
        await client.views_open(trigger_id=shortcut["trigger_id"], view=view)

    @app.view("how")
    async def how(ack: Any, view: dict[str, Any]) -> None:
        await ack()
        heard.append(view["state"]["values"])

    async with town.listening(app):
        said = town.ann.says(town.general, "it is broken")
        await town.ann.shortcuts(said, "fix_this").answer()
        await town.slack.until(lambda: town.ann.modals)
        await town.ann.submits(town.ann.modals[0], {"b": {"a": {"value": "well"}}}).answer()
        await town.slack.until(lambda: len(heard) == 2)
        assert heard == ["it is broken", {"b": {"a": {"value": "well"}}}]


async def test_home_is_opened_and_published(town: Town) -> None:
    async with town.listening():
        town.ann.opens_home()
        [opened] = await town.hears("app_home_opened")
        assert (opened["user"], opened["tab"]) == (town.ann.id, "home")
        await town.client.views_publish(
            user_id=town.ann.id, view={"type": "home", "blocks": BLOCKS}
        )
        assert town.ann.home
        assert town.ben.home is None
        clicked = town.ann.clicks(town.ann.home, "go")
        assert clicked.delivery
        assert clicked.delivery.payload["container"]["type"] == "view"


async def test_a_working_agent_can_be_stopped(town: Town) -> None:
    async with town.listening():
        root = town.ann.says(town.general, "hello")
        with pytest.raises(NotAllowed):
            town.ann.stops(town.general, root)
        where = {"channel_id": town.general.id, "thread_ts": root.ts}
        await town.client.agents_sessions_setStatus(status="processing", **where)
        town.ann.stops(town.general, root)
        [stopped] = await town.hears("agent_session_stopped")
        assert (stopped["thread_ts"], stopped["user"]) == (root.ts, town.ann.id)
        assert town.slack.sessions[town.general.id, root.ts].status == "processing"


async def test_people_are_notified_of_posts_and_never_of_edits(town: Town) -> None:
    root = town.ann.says(town.general, "hello")
    posted = await town.client.chat_postMessage(
        channel=town.general.id, thread_ts=root.ts, text="working"
    )
    assert [note.why for note in town.ann.notifications] == ["thread"]
    assert town.ben.notifications == []
    await town.client.chat_update(
        channel=town.general.id, ts=posted["ts"], text=f"{town.ben.mention} <!channel> done"
    )
    assert (len(town.ann.notifications), town.ben.notifications) == (1, [])
    assert town.ann.sees(town.general, root)[1].edited


async def test_who_would_be_pinged(town: Town) -> None:
    group = town.slack.stamps.new("S")
    town.team.groups[group] = [town.ben]
    town.ben.is_active = False

    def names(text: str) -> list[str]:
        return [person.name for person in pinged(town.general, text)]

    assert names(f"{town.ann.mention} and ben") == ["ann"]
    assert names("<!channel>") == ["ann", "ben"]
    assert names("<!here>") == ["ann"]
    assert names(f"<!subteam^{group}|@team>") == ["ben"]
    assert names(f"```{town.ann.mention}```") == ["ann"]
    assert names(f"&lt;@{town.ann.id}&gt; @channel &lt;!channel&gt;") == []


async def test_only_one_person_sees_what_is_for_one(town: Town) -> None:
    await town.client.chat_postEphemeral(channel=town.general.id, user=town.ann.id, text="hush")
    [seen] = town.ann.sees(town.general)
    assert (seen.text, seen.ephemeral) == ("hush", True)
    assert town.ben.sees(town.general) == []
    history = await town.client.conversations_history(channel=town.general.id)
    assert history["messages"] == []
    assert town.slack.out.all == []
