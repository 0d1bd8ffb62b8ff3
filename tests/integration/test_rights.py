"""Who may prompt, stop and read is decided by the forge of the project's repository."""

import asyncio
from dataclasses import replace

import pytest

from adapters.chat.incoming import Author, Reworded, Said, Spot
from adapters.chat.port import Sign
from adapters.forge.port import Permission
from bot.conversation.hearing import Chats
from bot.conversation.inbox import Inbox
from bot.govern import rights
from bot.govern.people import standing_of
from bot.govern.rights import Rights, forget
from bot.on_discord import projects_of
from bot.store.ids import new_id
from bot.work import questions
from bot.work.asked import Question
from tests.support.shift import Shift, until

SECRET = "https://forge.test/acme/secret.git"
ACCOUNTS = "forge:forge.test"


@pytest.fixture
async def town(town, forge):
    """A town whose demo project is on the forge; Ann may write to it, Bo may read it."""
    town.inbox = Inbox(
        town.database,
        prompt_bytes_max=100_000,
        rights=Rights(town.database, {"forge": forge}),
    )
    await town.rows("UPDATE project SET repository_url = :url RETURNING id", url=SECRET)
    for name, number in (("Ann", "1"), ("Bo", "2")):
        await town.rows(
            "INSERT INTO identity (id, person_id, surface, external_id, name)"
            " VALUES (:id, :person, :surface, :number, :name) RETURNING id",
            id=new_id(),
            person=town.people[name],
            surface=ACCOUNTS,
            number=number,
            name=name,
        )
    forge.levels = {
        ("acme/secret", "1"): Permission.WRITE,
        ("acme/secret", "2"): Permission.READ,
    }
    return town


async def asked_long_ago(town, seconds):
    await town.rows(
        "UPDATE permission SET asked_at = now() - make_interval(secs => :s) RETURNING level",
        s=seconds,
    )


async def test_who_may_write_prompts_and_the_forge_is_asked_once_in_five_minutes(town, forge):
    assert (await town.say("!one")).verdict == "prompt"
    assert (await town.say("!two")).verdict == "prompt"
    assert forge.asked == [("acme/secret", "1")]
    await asked_long_ago(town, 5 * 60 + 1)
    forge.levels.clear()
    refused = await town.say("!three")
    assert (refused.verdict, refused.refusal.code) == ("refused", "not_permitted")
    assert await town.value("SELECT count(*) FROM prompt") == 2


@pytest.mark.parametrize(
    "words",
    [
        *("!one", "fix it", "stop", "stop all", "retry", "clear", "cancel 1", "new: x"),
        "agent=shell retry",
        "continue 0192a4b8-7c1e-7000-8000-00000000abcd",
    ],
)
async def test_who_may_only_read_changes_nothing(town, words):
    await town.say("!one", place="t")
    refused = await town.say(words, by="Bo", place="t")
    assert refused.verdict == "refused"
    assert "may not write to" in refused.text
    assert "secret" not in refused.text
    assert await town.value("SELECT count(*) FROM prompt WHERE state = 'queued'") == 1


async def test_who_may_read_sees_and_who_may_not_does_not(town, forge):
    await town.say("!one", place="t")
    assert "s-" in (await town.say("status", by="Bo", place="t")).text
    assert "s-" in (await town.say("sessions", by="Bo")).text
    del forge.levels["acme/secret", "2"]
    await asked_long_ago(town, rights.FRESH_SECONDS + 1)
    assert (await town.say("status", by="Bo", place="t")).verdict == "refused"
    assert "s-" not in (await town.say("sessions", by="Bo")).text


async def test_what_may_only_read_asks_for_no_more_than_that(town, forge):
    assert (await town.say("what is open?", by="Bo", read_only=True)).verdict == "prompt"
    assert (await town.say("and why?", by="Bo", read_only=True)).verdict == "prompt"
    del forge.levels["acme/secret", "2"]
    await asked_long_ago(town, rights.FRESH_SECONDS + 1)
    assert (await town.say("and now?", by="Bo", read_only=True)).verdict == "refused"


async def test_a_session_is_joined_by_who_may_write_to_both(town, forge):
    opened = await town.say("!one", place="t")
    refused = await town.say(f"join {opened.session}", by="Bo", place="u")
    assert refused.verdict == "refused"
    assert await town.value("SELECT count(*) FROM thread") == 1
    joined = await town.say(f"join {opened.session}", place="u")
    assert joined.verdict == "command"


async def test_a_session_is_joined_by_a_link_with_the_same_rights_as_by_its_name(town):
    link = "https://gitlab.example/acme/secret/-/issues/7"
    whole = await town.say("!one", place="t")
    inner = await town.say("!two", place="u")
    place = "UPDATE thread SET surface = 'gitlab', place = :to WHERE place = :at RETURNING id"
    await town.rows(place, at="t", to="acme/secret#7")
    ((thread,),) = await town.rows(place, at="u", to="acme/secret#7/dabc")
    await town.rows(
        "INSERT INTO reply (id, thread_id, kind, key, body, final, wording, posted_ref)"
        " VALUES (:id, :thread, 'answer', 'k', '', true, 1, '99') RETURNING id",
        id=new_id(),
        thread=thread,
    )
    assert (await town.say(f"join {link}", by="Bo", place="v")).verdict == "refused"
    assert (await town.say(f"join {link}", place="v")).session == whole.session
    assert (await town.say(f"join {link}#note_99", place="w")).session == inner.session
    await town.rows("UPDATE session SET private_to = :bo RETURNING id", bo=town.people["Bo"])
    for asked in (link, link.replace("7", "8")):
        refused = await town.say(f"join {asked}", place="x")
        assert "no session talks where this link leads" in refused.text.casefold()


async def test_a_silent_forge_closes_the_door_and_is_asked_again_soon(town, forge):
    forge.silent = True
    refused = await town.say("!one")
    assert "forge.test does not say" in refused.text
    assert (await town.say("!one")).verdict == "refused"
    assert len(forge.asked) == 1
    forge.silent = False
    await asked_long_ago(town, rights.RETRY_SECONDS + 1)
    assert (await town.say("!one")).verdict == "prompt"


async def test_who_is_not_connected_is_told_how(town):
    await town.rows("DELETE FROM identity WHERE surface = :s RETURNING id", s=ACCOUNTS)
    refused = await town.say("!one")
    assert "`connect`" in refused.text


async def test_other_accounts_are_asked_about_anew(town, forge):
    await town.say("!one", by="Bo")
    async with town.database.begin() as tx:
        await forget(tx, town.people["Bo"])
    forge.levels["acme/secret", "2"] = Permission.WRITE
    assert (await town.say("!one", by="Bo")).verdict == "prompt"


async def test_an_operator_and_a_project_elsewhere_ask_nobody(town, forge):
    await town.rows(
        "INSERT INTO identity (id, person_id, surface, external_id, name)"
        " VALUES (:id, :person, 'local', 'x', 'Bo') RETURNING id",
        id=new_id(),
        person=town.people["Bo"],
    )
    assert (await town.say("!one", by="Bo")).verdict == "prompt"
    await town.rows("UPDATE project SET repository_url = '/srv/demo' RETURNING id")
    await town.rows("DELETE FROM identity WHERE surface = :s RETURNING id", s=ACCOUNTS)
    assert (await town.say("!two", place="u")).verdict == "prompt"
    assert forge.asked == []


async def test_many_at_once_agree(town):
    said = await asyncio.gather(*(town.say("!x", by=by) for by in ("Ann", "Bo") * 8))
    assert {one.verdict for one in said[::2]} == {"prompt"}
    assert {one.verdict for one in said[1::2]} == {"refused"}
    assert await town.value("SELECT count(*) FROM permission") == 2


async def test_rows_of_projects_that_somebody_may_not_read_are_not_shown(town, forge):
    other = await town.value(
        "INSERT INTO project (id, name, repository_url, agent)"
        " VALUES (:id, 'other', 'https://forge.test/acme/other', 'shell') RETURNING id",
        id=new_id(),
    )
    demo = await town.value("SELECT id FROM project WHERE name = 'demo'")
    rows = [{"project_id": demo}, {"project_id": other}, {"project_id": None}]
    known = Rights(town.database, {"forge": forge})
    async with town.database.begin() as tx:
        bo = await standing_of(tx, town.people["Bo"])
    assert await known.visible(bo, rows) == rows[:1]
    assert await known.visible(replace(bo, operator=True), rows) == rows
    assert await Rights(town.database, {}).visible(bo, rows) == rows


def comment(town, words, *, by="1", name="Ann", number="1", url=SECRET):
    spot = Spot(surface="forge", channel="acme/secret", place="acme/secret#1", repository=url)
    return Said(
        spot=spot,
        author=Author(account="forge.test", id=by, name=name, handle=f"@{name.lower()}"),
        delivery=f"d{number}",
        key=f"comment/{number}",
        ref=f"comment/{number}",
        text=words,
        to_us=True,
    )


@pytest.fixture
def chats(town, forge):
    return Chats(town.database, town.inbox, {"forge": forge}, mention="ona")


async def test_in_a_repository_who_may_not_write_gets_a_sign_and_no_comment(town, forge, chats):
    hostile = ("!one", "stop", "x" * 200_000, "size=huge !one", "")
    for number, words in enumerate(hostile):
        forge.signs.clear()
        message = comment(town, words, by="2", name="Bo", number=str(number))
        await chats.hear(message)
        assert forge.signs == [(message.ref, Sign.REFUSED)]
    assert forge.posts == []
    assert await town.value("SELECT count(*) FROM prompt") == 0


async def test_in_a_repository_who_may_write_is_told_what_is_wrong_once(town, forge, chats):
    message = comment(town, "size=huge !one")
    await chats.hear(message)
    await chats.hear(message)
    ((place, notified, words),) = forge.posts
    assert (place, notified) == ("acme/secret#1", "@ann")
    assert "no size" in words.replace("\\", "")
    assert forge.signs == []


async def test_in_a_repository_its_own_sessions_alone_are_listed(town, forge, chats):
    await town.rows(
        "INSERT INTO project (id, name, repository_url, agent)"
        " VALUES (gen_random_uuid(), 'other', 'https://forge.test/acme/other', 'shell')"
        " RETURNING id"
    )
    forge.levels["acme/other", "1"] = Permission.WRITE
    await town.say("project=demo alpha", place="1")
    await town.say("project=other beta", place="2")
    await chats.hear(comment(town, "sessions"))
    ((_, _, words),) = forge.posts
    assert "alpha" in words
    assert "beta" not in words, "more people may read this"
    await town.rows(
        "UPDATE session SET private_to = creator_id WHERE title LIKE 'alpha%' RETURNING id"
    )
    await chats.hear(comment(town, "sessions", number="2"))
    assert "alpha" not in forge.posts[-1][-1]


async def test_a_comment_prompts_the_project_of_its_repository(town, forge, chats):
    await chats.hear(comment(town, "!one"))
    assert await town.rows("SELECT asker FROM prompt") == [("@ann",)]
    other = comment(town, "!two", number="2", url="https://forge.test/acme/other")
    forge.levels["acme/other", "1"] = Permission.WRITE
    await chats.hear(replace(other, spot=replace(other.spot, place="acme/other#1")))
    assert await town.value("SELECT count(*) FROM prompt") == 1


async def test_what_is_offered_or_listed_beside_a_conversation_is_what_somebody_may_see(
    town, forge
):
    known = Rights(town.database, {"forge": forge})
    await town.rows(
        "INSERT INTO identity (id, person_id, surface, external_id, name)"
        " VALUES (:id, :person, 'discord:G', '7', 'bo') RETURNING id",
        id=new_id(),
        person=town.people["Bo"],
    )
    bo, eve = (Author(account="G", id=number, name="x") for number in ("7", "8"))
    assert await projects_of(town.database, known, bo) == ["demo"]
    assert await projects_of(town.database, known, eve) == []
    del forge.levels["acme/secret", "2"]
    await asked_long_ago(town, rights.FRESH_SECONDS + 1)
    assert await projects_of(town.database, known, bo) == []
    await town.rows("UPDATE project SET repository_url = '/srv/demo' RETURNING id")
    assert await projects_of(town.database, known, eve) == ["demo"]


async def test_an_edit_by_who_may_not_write_any_more_changes_nothing(town, forge, chats):
    message = comment(town, "!one")
    await chats.hear(message)
    forge.levels.clear()
    await asked_long_ago(town, rights.FRESH_SECONDS + 1)
    edit = Reworded(spot=message.spot, author=message.author, key=message.key, text="!two")
    await chats.hear(edit)
    assert await town.value("SELECT text FROM delivery") == "one"
    forge.levels["acme/secret", "1"] = Permission.WRITE
    await asked_long_ago(town, rights.FRESH_SECONDS + 1)
    await chats.hear(edit)
    assert await town.value("SELECT text FROM delivery") == "two"


async def more_money_asked(town):
    """Ann's session waits until somebody decides about its budget."""
    await town.say("!one")
    queue = town.queue("w")
    lease = await queue.claim()
    turn = await queue.begin_turn(lease, None)
    question = Question(
        key="budget:1",
        text="Continue with 5.00 more?",
        choices=("Continue with 5.00 more", "Stop"),
        permitted={town.people["Ann"]},
        closed=True,
        extends_micro=5_000_000,
    )
    async with town.database.begin() as tx:
        assert await questions.put(tx, lease, turn.id, question, seconds=60)


@pytest.mark.parametrize(
    ("level", "verdict"), [(Permission.WRITE, "refused"), (Permission.ADMIN, "answer")]
)
async def test_who_administers_the_repository_holds_its_budget(town, forge, level, verdict):
    await more_money_asked(town)
    forge.levels["acme/secret", "2"] = level
    pressed = await town.say("1", by="Bo")
    assert pressed.verdict == verdict
    extended = await town.rows("SELECT extra_micro FROM budget WHERE kind = 'session'")
    assert extended == ([(5_000_000,)] if verdict == "answer" else [])
    assert await town.value("SELECT state FROM session") == (
        "queued" if verdict == "answer" else "waiting"
    )


async def test_who_does_not_hold_the_budget_is_told_alone_and_it_is_audited(town, forge, chats):
    await more_money_asked(town)
    await town.rows("UPDATE thread SET surface = 'forge', place = 'acme/secret#1' RETURNING id")
    forge.levels["acme/secret", "2"] = Permission.WRITE
    message = replace(comment(town, "1", by="2", name="Bo"), pressed=True)
    await chats.hear(message)
    assert forge.signs == [(message.ref, Sign.REFUSED)]
    assert forge.posts == []
    assert await town.rows("SELECT state FROM question") == [("open",)]
    refused = await town.rows(
        "SELECT who, body ->> 'why' FROM audit_event WHERE kind = 'access.refused'"
    )
    assert refused == [
        ("Bo", "only who opened this session, or who holds the project's budget, decides this")
    ]
    await chats.hear(comment(town, "1", number="2"))
    assert await town.rows("SELECT answer FROM question") == [("Continue with 5.00 more",)]


async def test_without_a_forge_that_can_be_asked_only_operators_hold_budgets(town, forge):
    await town.rows("UPDATE project SET repository_url = '/srv/demo' RETURNING id")
    await more_money_asked(town)
    assert (await town.say("1", by="Bo")).verdict == "refused"
    await town.rows(
        "INSERT INTO identity (id, person_id, surface, external_id, name)"
        " VALUES (:id, :person, 'local', 'x', 'Bo') RETURNING id",
        id=new_id(),
        person=town.people["Bo"],
    )
    assert (await town.say("1", by="Bo")).verdict == "answer"


async def test_who_may_not_write_to_each_repository_of_a_project_prompts_in_none(town, forge):
    await town.rows(
        "INSERT INTO project_repository (id, project_id, name, url)"
        " SELECT gen_random_uuid(), id, 'lib', 'https://forge.test/acme/lib.git' FROM project"
        " RETURNING id"
    )
    refused = await town.say("!one")
    assert (refused.verdict, refused.refusal.code) == ("refused", "not_permitted")
    assert sorted(forge.asked) == [("acme/lib", "1"), ("acme/secret", "1")]
    await asked_long_ago(town, rights.FRESH_SECONDS + 1)
    forge.levels["acme/lib", "1"] = Permission.WRITE
    assert (await town.say("!one")).verdict == "prompt"
    await asked_long_ago(town, rights.FRESH_SECONDS + 1)
    forge.levels["acme/lib", "1"] = Permission.READ
    assert (await town.say("!two")).verdict == "refused"
    await town.rows("UPDATE project_repository SET removed_at = now() RETURNING id")
    assert (await town.say("!two")).verdict == "prompt"


async def test_who_administers_one_repository_alone_does_not_hold_the_projects_budget(town, forge):
    await town.rows(
        "INSERT INTO project_repository (id, project_id, name, url)"
        " SELECT gen_random_uuid(), id, 'lib', 'https://forge.test/acme/lib.git' FROM project"
        " RETURNING id"
    )
    project = await town.value("SELECT id FROM project")
    who = Rights(town.database, {"forge": forge})

    async def holds() -> bool:
        async def look() -> bool:
            async with town.database.begin() as tx:
                standing = await standing_of(tx, town.people["Ann"])
                return await who.holds_budget(tx, standing, project)

        await asked_long_ago(town, rights.FRESH_SECONDS + 1) if forge.asked else None
        return await who.settled(look)

    forge.levels["acme/secret", "1"] = Permission.ADMIN
    forge.levels["acme/lib", "1"] = Permission.WRITE
    assert not await holds()
    forge.levels["acme/lib", "1"] = Permission.ADMIN
    assert await holds()


ENDED = "SELECT state, outcome ->> 'summary' FROM turn WHERE state <> 'running' ORDER BY started_at"


async def test_a_prompt_of_who_lost_the_right_while_it_waited_does_not_run(
    town, forge, places, tmp_path
):
    forge.levels["acme/secret", "2"] = Permission.WRITE
    await town.say(f"!touch {tmp_path}/ann", place="t")
    await town.say(f"!touch {tmp_path}/bo", by="Bo", place="t")
    await town.say(f"!touch {tmp_path}/again", place="t")
    await asked_long_ago(town, rights.FRESH_SECONDS + 1)
    del forge.levels["acme/secret", "2"]
    async with Shift(town, places, "w", rights=town.inbox.rights):
        turns = await until(town, ENDED, lambda rows: len(rows) == 3)
    assert [state for state, _ in turns] == ["succeeded", "failed", "succeeded"]
    denied, _, advice = turns[1][1].partition("; ")
    assert denied == "on forge.test you may not write to the repository of this project"
    assert "ask somebody who may" in advice
    assert (tmp_path / "ann").exists()
    assert (tmp_path / "again").exists()
    assert not (tmp_path / "bo").exists()
    ((told,),) = await town.rows("SELECT body ->> 'text' FROM turn_event WHERE kind = 'error'")
    assert "ask somebody who may" in told


async def test_a_prompt_of_who_was_deactivated_while_it_waited_does_not_run(town, places, tmp_path):
    await town.say(f"!touch {tmp_path}/ann")
    await town.rows("UPDATE person SET deactivated_at = now() WHERE name = 'Ann' RETURNING id")
    async with Shift(town, places, "w", rights=town.inbox.rights):
        turns = await until(town, ENDED, bool)
    ((state, why),) = turns
    assert (state, why.partition(";")[0]) == ("failed", "Ann is deactivated here")
    assert not (tmp_path / "ann").exists()


async def test_a_prompt_waits_as_long_as_its_forge_does_not_say_whether_it_may(
    town, forge, places, tmp_path
):
    await town.say(f"!touch {tmp_path}/ann")
    await asked_long_ago(town, rights.FRESH_SECONDS + 1)
    forge.silent = True
    notices = "SELECT body ->> 'text' FROM turn_event WHERE kind = 'notice'"
    async with Shift(town, places, "w", rights=town.inbox.rights):
        ((told,),) = await until(town, notices, bool)
        assert "forge.test does not say" in told
        assert not (tmp_path / "ann").exists()
        forge.silent = False
        await asked_long_ago(town, rights.RETRY_SECONDS + 1)
        turns = await until(town, ENDED, bool)
    assert [state for state, _ in turns] == ["succeeded"]
    assert len(await town.rows(notices)) == 1


async def test_what_may_only_read_runs_for_who_may_only_read(town, places):
    await town.say("!true", by="Bo", read_only=True)
    async with Shift(town, places, "w", rights=town.inbox.rights):
        turns = await until(town, ENDED, bool)
    assert [state for state, _ in turns] == ["succeeded"]


async def test_whoever_lost_the_right_while_the_machine_was_made_ready_does_not_run(
    town, forge, places, tmp_path
):
    await town.say(f"!touch {tmp_path}/ann")
    places.door.clear()
    async with Shift(town, places, "w", rights=town.inbox.rights):
        await places.knocked.wait()
        forge.levels.clear()
        await asked_long_ago(town, rights.FRESH_SECONDS + 1)
        places.door.set()
        turns = await until(town, ENDED, bool)
    assert [state for state, _ in turns] == ["failed"]
    assert not (tmp_path / "ann").exists()


async def test_only_the_prompt_that_was_looked_at_begins(town):
    first = await town.say("!one", place="t")
    second = await town.say("!two", by="Ann", place="t", key="second")
    queue = town.queue("w")
    lease = await queue.claim()
    assert await queue.begin_turn(lease, None, prompt_id=second.prompt_id) is None
    turn = await queue.begin_turn(lease, None, prompt_id=first.prompt_id)
    assert turn.prompt_id == first.prompt_id
