"""Halts over the API, on the pages and on the command line: operators only."""

import re

from tests.integration.web.test_cli import ona  # noqa: F401  (a fixture)


async def test_an_operator_halts_and_resumes_and_everybody_sees_it(site):
    async with site.client() as ann, site.client(await site.token_of(site.bo)) as bo:
        refused = await bo.post("/api/v1/halts", json={"project": "demo"})
        assert refused.status_code == 422, refused.text
        made = await ann.post("/api/v1/halts", json={"project": "demo", "why": "a key <b>leaked"})
        assert made.json()["text"].startswith("Halted: project demo.")
        again = await ann.post("/api/v1/halts", json={"project": "demo"})
        assert again.json()["code"] == "nothing_to_do"
        (one,) = (await bo.get("/api/v1/halts")).json()["halts"]
        assert (one["scope"], one["target"], one["by"]) == ("project", "demo", "Ann")
        assert (await bo.delete("/api/v1/halts", params={"project": "demo"})).status_code == 422
        asked = await site.ask("!true", new=True)
        assert "Project demo is halted by Ann" in asked["text"]
        lifted = await ann.delete("/api/v1/halts", params={"project": "demo"})
        assert lifted.json()["text"] == "Resumed: project demo."
        assert (await bo.get("/api/v1/halts")).json()["halts"] == []


async def test_unknown_and_doubled_targets_are_refused(site):
    async with site.client() as ann:
        for body, status in (
            ({"project": "nowhere"}, 404),
            ({"person": "Nobody"}, 404),
            ({"project": "demo", "person": "Bo"}, 422),
            ({"why": "x" * 301}, 422),
        ):
            answer = await ann.post("/api/v1/halts", json=body)
            assert answer.status_code == status, answer.text


async def test_the_pages_show_a_halt_and_an_operator_lifts_it_there(site):
    short = (await site.ask("!true", new=True))["session"]
    async with site.client() as browser:
        browser.headers["Origin"] = site.url
        del browser.headers["Authorization"]
        await browser.post("/sign-in", data={"link": await site.link()})
        csrf = re.search(r'name="csrf" value="([^"]+)"', (await browser.get("/status")).text)
        form = {"csrf": csrf[1], "person": "Ann", "why": "a <b>key"}
        assert (await browser.post("/status/halt", data=form)).status_code == 303
        for path in ("/status", "/", f"/sessions/{short}"):
            shown = (await browser.get(path)).text
            assert "What Ann asks for is halted by Ann: a &lt;b&gt;key" in shown, path
        form = {"csrf": csrf[1], "person": str(site.ann)}
        assert (await browser.post("/status/resume", data=form)).status_code == 303
        assert "is halted" not in (await browser.get("/")).text


async def test_the_command_line_halts_lists_and_resumes(site, ona):  # noqa: F811
    halted = await ona("halt", "--person", "Bo", "--why", "away")
    assert halted.code == 0
    assert halted.out.endswith("Halted: what Bo asks for. Running turns end within seconds.\n")
    listed = await ona("halt", "--list")
    assert "person" in listed.out
    assert "away" in listed.out
    assert (await ona("halt", "--person", "Bo")).code == 2
    resumed = await ona("resume", "--person", "Bo")
    assert resumed.code == 0
    assert resumed.out.endswith("Resumed: what Bo asks for.\n")
    assert (await ona("resume")).code == 2
