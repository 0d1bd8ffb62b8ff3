"""Deleting a session over the API, on its page and on the command line: operators, on purpose."""

import io
import json
import re

from tests.integration.web.test_cli import ona  # noqa: F401  (a fixture)


async def state_of(site, short):
    return await site.rows("SELECT state FROM session WHERE short = :short", short=short)


async def test_only_an_operator_deletes_and_it_is_said_what_follows(site):
    short = (await site.ask("!true", new=True))["session"]
    async with site.client() as ann, site.client(await site.token_of(site.bo)) as bo:
        refused = await bo.delete(f"/api/v1/sessions/{short}")
        assert "only an operator" in refused.json()["error"]
        assert await state_of(site, short) == [("queued",)]
        done = await ann.delete(f"/api/v1/sessions/{short}")
        assert (done.status_code, short in done.json()["text"]) == (202, True)
        assert (await ann.get(f"/api/v1/sessions/{short}")).json()["state"] == "deleting"
        again = await ann.delete(f"/api/v1/sessions/{short}")
        assert again.json()["code"] == "nothing_to_do"
        body = {"text": "more", "session": short}
        later = await ann.post("/api/v1/prompts", json=body)
        assert f"session {short} was deleted by Ann" in later.json()["error"].lower().replace(
            "ann", "Ann"
        )


async def test_the_page_deletes_what_was_typed_and_nothing_else(site):
    short = (await site.ask("!true", new=True))["session"]
    async with site.client() as browser:
        browser.headers["Origin"] = site.url
        del browser.headers["Authorization"]
        await browser.post("/sign-in", data={"link": await site.link()})
        page = await browser.get(f"/sessions/{short}")
        csrf = re.search(r'name="csrf" value="([^"]+)"', page.text)
        for sure in ("", "yes", "s-other"):
            form = {"csrf": csrf[1], "sure": sure}
            refused = await browser.post(f"/sessions/{short}/delete", data=form)
            assert refused.status_code == 422
        assert await state_of(site, short) == [("queued",)]
        form = {"csrf": csrf[1], "sure": short}
        assert (await browser.post(f"/sessions/{short}/delete", data=form)).status_code == 303
        assert await state_of(site, short) == [("deleting",)]
        shown = (await browser.get(f"/sessions/{short}")).text
        assert "Being deleted" in shown
        assert "Delete for good" not in shown


async def test_the_command_line_asks_before_it_deletes(site, ona, monkeypatch):  # noqa: F811
    short = (await site.ask("!true", new=True))["session"]
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    unsure = await ona("sessions", "delete", short)
    assert unsure.code == 1
    assert await state_of(site, short) == [("queued",)]
    done = await ona("sessions", "delete", short, "--yes", "--json")
    assert done.code == 0, done.err
    # What the server logs beside it in this process comes first.
    assert short in json.loads(done.out[done.out.index("{\n") :])["text"]
    assert await state_of(site, short) == [("deleting",)]
