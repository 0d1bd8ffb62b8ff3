"""How the surfaces do: over the API and on the page, for operators."""

from datetime import UTC, datetime

from adapters.listening import Condition
from bot.store.surface_states import Said, put


async def say(site) -> None:
    await put(
        site.database,
        "serve-1",
        [
            Said(surface="slack", state=Condition.LISTENING, mode="socket"),
            Said(surface="discord", state=Condition.OFF, why="discord.token is not set"),
            Said(
                surface="github",
                state=Condition.FAILING,
                why="GitHub answered 401: <b>Bad credentials",
                mode="poll",
                delay_seconds=30,
            ),
        ],
    )


async def test_the_api_says_of_each_surface_how_it_does(site):
    await say(site)
    async with site.client() as client:
        listed = (await client.get("/api/v1/surfaces")).json()["surfaces"]
    found = {one["surface"]: one for one in listed}
    assert {name: one["state"] for name, one in found.items()} == {
        "slack": "listening",
        "discord": "off",
        "github": "failing",
        "gitlab": "silent",
    }
    assert found["github"]["why"] == "GitHub answered 401: <b>Bad credentials"
    assert (found["github"]["mode"], found["github"]["delay_seconds"]) == ("poll", 30)
    assert datetime.fromisoformat(found["github"]["since"]) <= datetime.now(UTC)
    assert [one["owner"] for one in found["slack"]["processes"]] == ["serve-1"]


async def test_the_oldest_reply_that_waits_is_told(site):
    await say(site)
    session = (await site.ask("!true", new=True))["session"]
    async with site.client() as client:
        await site.rows("UPDATE thread SET surface = 'slack' RETURNING id")
        await site.rows(
            "INSERT INTO reply (id, thread_id, kind, key, body, state, created_at)"
            " SELECT gen_random_uuid(), thread.id, 'notice', 'k', 'b', 'pending',"
            " now() - interval '1 hour' FROM thread"
            " JOIN session ON session.id = thread.session_id WHERE session.short = :short"
            " RETURNING id",
            short=session,
        )
        listed = (await client.get("/api/v1/surfaces")).json()["surfaces"]
    (slack,) = [one for one in listed if one["surface"] == "slack"]
    assert slack["unsent"] >= 1
    waited = datetime.now(UTC) - datetime.fromisoformat(slack["unsent_since"])
    assert waited.total_seconds() >= 3600


async def test_the_page_shows_it_escaped_and_with_words(site):
    await say(site)
    async with site.client() as client:
        await client.post(
            "/sign-in", data={"link": await site.link()}, headers={"Origin": site.url}
        )
        page = (await client.get("/status")).text
        part = (await client.get("/status/list", headers={"HX-Request": "true"})).text
        without_script = await client.get("/status/list")
        setup = (await client.get("/setup")).text
    assert "&lt;b&gt;Bad credentials" in page
    assert "polls every 30 s" in page
    assert "Discord.token is not set" not in page
    assert "discord.token is not set" in page
    assert "Not heard of" in page
    assert part.strip() in page
    assert "<html" not in part
    assert without_script.headers["location"] == "/status"
    assert 'href="/status"' in setup


async def test_who_is_no_operator_sees_none_of_it(site):
    async with site.client(await site.token_of(site.bo)) as client:
        refused = await client.get("/api/v1/surfaces")
        assert (refused.status_code, refused.json()["code"]) == (422, "refused")
        assert (await client.get("/status")).status_code == 422
        assert 'href="/status"' not in (await client.get("/setup")).text
