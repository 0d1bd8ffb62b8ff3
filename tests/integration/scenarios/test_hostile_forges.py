"""What people, bots and agents do on a forge to do harm: nothing is run, pinged or given away."""

import asyncio
import base64

import pytest

from bot.govern.people import NAME_LENGTH_MAX
from tests.integration.scenarios.talks import counted, shown, until
from tests.support.shift import Shift

on_a_forge = pytest.mark.parametrize("talk", ["github", "gitlab"], indirect=True)
PROMPTS = "SELECT count(*) FROM prompt"
DELIVERIES = "SELECT count(*) FROM delivery"
LOUD = (
    "@bo @all @here @acme/everybody please look",
    "```\n@bo\n```\n~~~\n@bo",
    "<img src=x onerror=alert(1)> <script>alert(1)</script> <details><summary>@bo</summary>",
    "<!-- --> @bo <!--",
    "[sign in](https://evil.example) ![](https://evil.example/x.png) #1 !1 acme/shop#1",
    "/close\n/merge\n/approve",
    "\x1b]0;x\x07\u202e@bo",
)
NAMES = ("ev\x1b[31m\u202e\nil", "@all", "<b>bold</b>", "x" * 5_000)


async def quiet(talk, count: int) -> None:
    """Wait until we have answered so many deliveries, and whatever comes of them had its time."""
    await until(lambda: len(talk.carries.statuses) >= count)
    await asyncio.sleep(0.5)


@on_a_forge
async def test_what_is_forged_is_refused_and_what_is_replayed_changes_nothing(town, talk):
    await talk.begins("!echo alpha")
    await counted(town, PROMPTS, 1)
    headers, body = talk.carries.carried[0]
    forged = talk.reworded((headers, body), "/ona !echo forged")
    unsigned = {name: value for name, value in headers.items() if "signature" not in name.lower()}
    guessed = f"whsec_{base64.b64encode(b'a guess').decode()}"
    for false in (
        headers,
        unsigned,
        talk.signed((headers, body), forged, guessed),
        talk.signed((headers, body), forged + b" "),
    ):
        assert await talk.carries.post(false, forged) == (401, "")
    for _ in range(3):
        assert (await talk.carries.post(headers, body))[0] == 204
    anew = talk.signed((headers, body), body)
    assert (await talk.carries.post(anew, body))[0] == 204, "the same under another delivery's id"
    assert await town.value(PROMPTS) == 1
    assert await town.value(DELIVERIES) == 1


@on_a_forge
async def test_a_request_of_a_megabyte_is_refused_in_words_and_the_next_is_heard(
    town, places, talk
):
    async with Shift(town, places, "w"):
        thread = await talk.begins("!echo alpha")
        await shown(talk, thread, "alpha", "Done")
        first = talk.carries.carried[0]
        body = talk.reworded(first, "/ona " + "x" * 999_000)
        assert len(body) > 999_000
        assert (await talk.carries.post(talk.signed(first, body), body))[0] == 204
        (refusal,) = [one for one in await shown(talk, thread, "bytes") if "bytes" in one]
        assert len(refusal) < 500
        assert "nothing was queued" in refusal
        await talk.says(thread, "!echo beta")
        await shown(talk, thread, "beta", "Done")
    assert await town.value(PROMPTS) == 2


@on_a_forge
@pytest.mark.parametrize("loud", LOUD)
async def test_what_an_agent_writes_pings_nobody_and_means_nothing(town, places, talk, loud):
    packed = base64.b64encode(loud.encode()).decode()
    async with Shift(town, places, "w"):
        thread = await talk.begins(f"!echo {packed} | base64 -d; echo; echo the end")
        await shown(talk, thread, "the end", "Done")
        await counted(town, "SELECT count(*) FROM reply WHERE state <> 'sent'", 0)
    said = " ".join(talk.posts(thread))
    for word in (*loud.replace("```", "").split(), "\x1b", "\u202e"):
        assert (word in said) == word.isprintable(), word
    assert set(talk.pinged(thread)) == {"ann"}, "who asked, and nobody else"
    if talk.name == "gitlab":
        assert (thread.state, thread.actions) == ("opened", [])


@on_a_forge
@pytest.mark.parametrize("loud", [one for one in LOUD if "<!--" not in one])
async def test_what_is_quoted_in_a_refusal_pings_nobody(town, talk, loud):
    wanted = "".join(loud.split())
    thread = await talk.begins(f"project={wanted} look")
    (refusal,) = await shown(talk, thread, "There is no project", "demo")
    assert refusal.replace("\n", "").isprintable()
    assert set(talk.pinged(thread)) <= {"ann"}
    assert "@bo" not in loud or "bo" in refusal
    assert await town.value(PROMPTS) == 0


@on_a_forge
@pytest.mark.parametrize("name", NAMES)
async def test_a_name_can_not_be_more_than_a_name(town, places, talk, name):
    async with Shift(town, places, "w"):
        thread = await talk.begins("!echo alpha")
        await shown(talk, thread, "alpha", "Done")
        await town.rows("DELETE FROM identity RETURNING id")
        first = talk.carries.carried[0]
        body = talk.reworded(first, "/ona !exit 3", name)
        assert (await talk.carries.post(talk.signed(first, body), body))[0] == 204
        await shown(talk, thread, "Failed", "exit status 3")
    known = [name for (name,) in await town.rows("SELECT name FROM person")]
    raw = " ".join(talk.raw(thread))
    for said in (*known, raw.replace("\n", "").replace("\u2060", "").replace("\u200b", "")):
        assert said.isprintable()
    assert max(map(len, known)) <= NAME_LENGTH_MAX
    assert "<b>" not in raw
    assert set(talk.pinged(thread)) <= {"ann"}


@on_a_forge
async def test_two_bots_that_answer_each_other_stop_by_themselves(town, places, talk):
    async with Shift(town, places, "w"):
        thread = await talk.begins("!echo '/ona !echo again'; echo '@ona-bot again'")
        await shown(talk, thread, "again", "Done")
        await talk.robot(thread, "/ona !echo by-a-bot")
        await quiet(talk, 3)
    assert await town.value(PROMPTS) == 1
    assert not [one for one in talk.posts(thread) if "by-a-bot" in one]


@on_a_forge
async def test_a_copy_of_our_post_asks_nothing_and_its_mark_counts_for_nobody(town, places, talk):
    async with Shift(town, places, "w"):
        thread = await talk.begins("!echo '/ona !echo again'")
        await shown(talk, thread, "again", "Done")
        (ours,) = talk.raw(thread)
        assert "<!-- ona:" in ours
        before = len(talk.carries.statuses)
        copy = await talk.verbatim(thread, ours)
        await quiet(talk, before + 1)
        assert await town.value(PROMPTS) == 1
        await talk.says(thread, "!echo beta")
        await shown(talk, thread, "beta", "Done")
    assert talk.signs(copy) == []


@on_a_forge
async def test_a_private_repository_can_not_be_had_from_another_ones_conversation(
    town, places, talk
):
    hidden = await talk.hidden_repository()
    await town.rows(
        "INSERT INTO project (id, name, repository_url, agent)"
        " VALUES (gen_random_uuid(), 'vault', :url, 'shell') RETURNING id",
        url=hidden,
    )
    async with Shift(town, places, "w"):
        thread = await talk.begins("project=vault !cat key")
        there = await shown(talk, thread, "There is no project")
        await talk.says(thread, "project=nothing !cat key")
        both = await shown(talk, thread, "There is no project nothing")
        assert both[1].replace("nothing", "vault") == there[0], "no word tells one from the other"
        await talk.says(thread, f"look at {hidden} please")
        await counted(town, PROMPTS, 1)
    worked_on = "SELECT project.name FROM session JOIN project ON project.id = session.project_id"
    assert await town.rows(worked_on) == [("demo",)]


@on_a_forge
@pytest.mark.parametrize("words", ["!echo alpha", "status", "sessions", "help", "stop", "join s-x"])
async def test_who_may_not_ask_gets_a_sign_and_no_word(town, places, talk, words):
    async with Shift(town, places, "w"):
        thread = await talk.begins("!echo zero")
        await shown(talk, thread, "zero", "Done")
        before = talk.posts(thread)
        asked = await talk.stranger(thread, f"/ona {words}")
        await until(lambda: talk.signs(asked) == ["confused"])
    assert talk.posts(thread) == before
    assert await town.value(PROMPTS) == 1
