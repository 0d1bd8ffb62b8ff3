"""What models cost, over the API, on the page and on the command line; who decides about more."""

import json

import pytest

from bot.store.ids import new_id
from bot.work import questions
from bot.work.asked import Question
from tests.integration.web.test_cli import ona  # noqa: F401  (a fixture)

CENT = 10_000
DEMO = "(SELECT id FROM project WHERE name = 'demo')"


async def charge(site, short, person, cents, *, model="claude-opus-5", day="now()", **more):
    """One request of a session."""
    await site.rows(
        "INSERT INTO charge (id, turn_id, session_id, person_id, project_id, day, model, state,"
        " cost_micro, input_tokens, cache_read_tokens, output_tokens) SELECT :id, :turn,"
        f" coalesce((SELECT id FROM session WHERE short = :short), :id), :person, {DEMO}, {day},"
        " :model, :state, :cost, 100, 20, 7 RETURNING id",
        id=new_id(),
        turn=more.get("turn", new_id()),
        short=short,
        person=person,
        model=model,
        state=more.get("state", "settled"),
        cost=cents * CENT,
    )


@pytest.fixture
async def spent(site):
    """Two sessions, of Ann and of Bo, a private one of Bo, and one that is gone."""
    shorts = {}
    bo = await site.token_of(site.bo)
    for name, words, token in (
        ("ann", "fix the parser", None),
        ("bo", "write docs", bo),
        ("hers", "private: my own", bo),
    ):
        async with site.client(token) as client:
            asked = {"text": words, "thread": name, "new": name != "hers"}
            answer = await client.post("/api/v1/prompts", json=asked)
            assert answer.status_code in {200, 202}, answer.text
            shorts[name] = answer.json()["session"]
    await charge(site, shorts["ann"], site.ann, 30)
    await charge(site, shorts["ann"], site.bo, 12, model="gpt-6", state="estimated")
    await charge(site, shorts["ann"], site.ann, 500, state="reserved")
    await charge(site, shorts["bo"], site.bo, 5, day="now() - interval '3 days'")
    await charge(site, shorts["hers"], site.bo, 2)
    await charge(site, "s-gone", site.ann, 1)
    return shorts


async def look(site, token=None, **asked):
    async with site.client(token) as client:
        answer = await client.get("/api/v1/usage", params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def cents(found):
    return {one["key"]: round(one["cost_usd"] * 100) for one in found["usage"]}


async def test_usage_by_session_leaves_out_the_names_of_what_others_keep_to_themselves(site, spent):
    found = await look(site)
    assert cents(found) == {spent["ann"]: 42, spent["bo"]: 5, None: 3}
    assert found["cost_usd"] == pytest.approx(0.50)
    first = found["usage"][0]
    assert (first["requests"], first["input_tokens"], first["output_tokens"]) == (2, 200, 14)
    assert first["cache_read_tokens"] == 40
    assert [one["is_estimated"] for one in found["usage"]] == [True, False, False]
    own = await look(site, await site.token_of(site.bo))
    assert cents(own) == {spent["ann"]: 42, spent["bo"]: 5, spent["hers"]: 2, None: 1}


async def test_usage_by_person_project_day_and_model(site, spent):
    people = await look(site, by="person")
    assert {one["name"]: one["key"] for one in people["usage"]} == {
        "Ann": str(site.ann),
        "Bo": str(site.bo),
    }
    assert cents(people) == {str(site.ann): 31, str(site.bo): 19}
    assert cents(await look(site, by="project")) == {"demo": 50}
    assert list(cents(await look(site, by="day")).values()) == [45, 5]
    assert cents(await look(site, by="model")) == {"claude-opus-5": 38, "gpt-6": 12}
    assert len((await look(site, by="turn"))["usage"]) == 4


async def test_usage_of_one_session_person_project_and_time(site, spent):
    assert cents(await look(site, session=spent["ann"])) == {spent["ann"]: 42}
    assert cents(await look(site, person="Bo", session=spent["ann"])) == {spent["ann"]: 12}
    assert cents(await look(site, project="demo", by="project")) == {"demo": 50}
    days = [one["key"] for one in (await look(site, by="day"))["usage"]]
    assert cents(await look(site, by="day", since=days[0])) == {days[0]: 45}
    assert cents(await look(site, by="day", until=days[0])) == {days[1]: 5}
    async with site.client() as client:
        for asked in ({"session": spent["hers"]}, {"project": "nowhere"}, {"person": "Nobody"}):
            assert (await client.get("/api/v1/usage", params=asked)).status_code == 404, asked
        assert (await client.get("/api/v1/usage", params={"by": "mood"})).status_code == 422


async def test_the_page_shows_it(site, spent):
    async with site.client() as browser:
        browser.headers["Origin"] = site.url
        del browser.headers["Authorization"]
        await browser.post("/sign-in", data={"link": await site.link()})
        page = (await browser.get("/usage")).text
        assert "0.50 USD on models in 30 days" in page
        assert f'<a href="/sessions/{spent["ann"]}">' in page
        assert "Deleted and private sessions" in page
        assert "my own" not in page
        assert "partly an estimate" in page
        today = (await browser.get("/usage", params={"by": "person", "days": 1})).text
        assert "0.45 USD on models in one day" in today
        assert "<h2>Ann</h2>" in today


async def test_a_session_shows_what_it_cost_and_its_budget(site, spent, ona):  # noqa: F811
    await site.rows(
        "INSERT INTO budget (kind, owner, day, limit_micro, extra_micro) SELECT 'session', id,"
        " '1970-01-01', 5000000, 2500000 FROM session WHERE short = :short RETURNING owner",
        short=spent["ann"],
    )
    async with site.client() as client:
        found = (await client.get(f"/api/v1/sessions/{spent['ann']}")).json()
        listed = (await client.get("/api/v1/sessions")).json()["sessions"]
    assert (found["cost_usd"], found["budget_usd"]) == (0.42, 7.5)
    assert {one["short"]: one["cost_usd"] for one in listed}[spent["bo"]] == 0.05
    shown = await ona("sessions", "show", spent["ann"])
    assert "Models" in shown.out
    assert "0.42 of 7.50 USD" in shown.out
    async with site.client() as browser:
        browser.headers["Origin"] = site.url
        del browser.headers["Authorization"]
        await browser.post("/sign-in", data={"link": await site.link()})
        page = (await browser.get(f"/sessions/{spent['ann']}")).text
    assert "0.42 of 7.50 USD" in page


async def test_nothing_was_spent_yet(site):
    found = await look(site)
    assert (found["usage"], found["cost_usd"]) == ([], 0)


async def test_the_command_line_shows_it(site, spent, ona):  # noqa: F811
    shown = await ona("usage", "--by", "person")
    assert shown.code == 0
    assert [line.split()[1:3] for line in shown.out.splitlines()[1:]] == [
        ["0.3100", "2"],
        ["~0.1900", "3"],
    ]
    printed = await ona("usage", "--session", spent["bo"], "--json")
    assert cents(json.loads(printed.out)) == {spent["bo"]: 5}


async def asked_for_more(site, token=None):
    """A session that waits for more money: short id of it and the id of its question."""
    async with site.client(token) as client:
        made = (await client.post("/api/v1/prompts", json={"text": "!true", "new": True})).json()
    work = await site.begin()
    question = Question(
        key="budget:1",
        text="Continue with 5.00 more?",
        choices=("Continue with 5.00 more", "Stop"),
        permitted={site.bo if token else site.ann},
        closed=True,
        extends_micro=500 * CENT,
    )
    async with site.database.begin() as tx:
        assert await questions.put(tx, work.lease, work.turn.id, question, seconds=600)
    ((question_id,),) = await site.rows("SELECT id FROM question")
    return made["session"], question_id


async def answer(site, short, question_id, text, token=None):
    async with site.client(token) as client:
        return await client.post(
            f"/api/v1/sessions/{short}/questions/{question_id}/answer", json={"text": text}
        )


EXTRA = "SELECT extra_micro FROM budget WHERE kind = 'session'"


async def test_who_neither_opened_the_session_nor_holds_the_budget_does_not_decide(site):
    short, question = await asked_for_more(site)
    refused = await answer(site, short, question, "1", await site.token_of(site.bo))
    assert refused.status_code == 403
    assert "only who opened this session" in refused.json()["error"]
    assert await site.rows(EXTRA) == []
    vague = await answer(site, short, question, "hm")
    assert vague.status_code == 422
    assert "Continue with 5.00 more" in vague.json()["do"]
    assert (await answer(site, short, question, "1")).status_code == 200
    assert await site.rows(EXTRA) == [(500 * CENT,)]
    assert (await answer(site, short, question, "1")).status_code == 409
    assert await site.rows(EXTRA) == [(500 * CENT,)]


async def test_an_operator_holds_every_budget(site):
    short, question = await asked_for_more(site, await site.token_of(site.bo))
    assert (await answer(site, short, question, "Continue with 5.00 more")).status_code == 200
    assert await site.rows(EXTRA) == [(500 * CENT,)]
    assert await site.rows("SELECT answer FROM question") == [("Continue with 5.00 more",)]
