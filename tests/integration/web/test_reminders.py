"""Reminders over the API, on their page and on the command line."""

import io
import json
import re
from contextlib import asynccontextmanager
from html import unescape

import pytest

from tests.integration.web.site import sign_in
from tests.integration.web.test_cli import ona  # noqa: F401  (a fixture)

DAILY = {"when": "every day at 9", "what": "look at <b>the build"}


async def test_one_sets_sees_changes_and_deletes_ones_own(site):
    async with site.client() as ann, site.client(await site.token_of(site.bo)) as bo:
        made = await ann.post("/api/v1/reminders", json=DAILY)
        assert made.status_code == 201, made.text
        one = made.json()
        assert (one["state"], one["by"], one["answer"], len(one["next"])) == (
            "active",
            "Ann",
            False,
            3,
        )
        where = f"/api/v1/reminders/{one['reminder']}"
        assert (await bo.get("/api/v1/reminders")).json()["reminders"] == []
        changed = await ann.patch(where, json={"when": "every friday 16:00", "quiet": "22-7"})
        assert (changed.json()["when"], changed.json()["quiet"]) == (
            "every friday 16:00",
            "22:00-07:00",
        )
        assert (await ann.patch(where, json={"only_changed": True})).status_code == 422
        assert "Paused" in (await ann.post(f"{where}/pause")).json()["text"]
        assert (await ann.get(where)).json()["next"] == []
        assert "due next" in (await ann.post(f"{where}/resume")).json()["text"]
        assert "is gone" in (await ann.delete(where)).json()["text"]
        assert (await ann.get(where)).status_code == 404


async def test_one_whose_zone_is_gone_is_listed_and_edited(site):
    async with site.client() as ann:
        one = (await ann.post("/api/v1/reminders", json=DAILY)).json()
        await site.rows("UPDATE schedule SET zone = 'Mars/Phobos' RETURNING id")
        (listed,) = (await ann.get("/api/v1/reminders")).json()["reminders"]
        assert (listed["zone"], listed["next"]) == ("Mars/Phobos", one["next"][:1])
        where = f"/api/v1/reminders/{one['reminder']}"
        refused = await ann.post(f"{where}/resume")
        assert (refused.status_code, "is no time zone" in refused.text) == (422, True)
        changed = await ann.patch(where, json={"when": "every friday 16:00"})
        assert (changed.status_code, changed.json()["zone"]) == (200, "UTC")


async def test_operators_see_everybodys_and_stop_them(site, ona):  # noqa: F811
    async with site.client() as ann, site.client(await site.token_of(site.bo)) as bo:
        made = (await bo.post("/api/v1/reminders", json=DAILY)).json()
        assert (await bo.get("/api/v1/reminders?everyone=true")).status_code == 422
        assert (await bo.get("/reminders?everyone=true")).status_code == 422
        assert (await ann.get("/api/v1/reminders")).json()["reminders"] == []
        (one,) = (await ann.get("/api/v1/reminders?everyone=true")).json()["reminders"]
        assert (one["reminder"], one["by"]) == (made["reminder"], "Bo")
        listed = await ona("reminders", "list", "--everyone")
        assert re.search(rf"{made['reminder']} .* Bo$", listed.out, re.M), listed.out
        assert made["reminder"] not in (await ona("reminders", "list")).out
        assert "is gone" in (await ona("reminders", "delete", made["reminder"])).out
        assert (await bo.get("/api/v1/reminders")).json()["reminders"] == []


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"when": "tomorrow at 3", "what": "x"}, 422, "03:00 or 15:00"),
        ({"when": "mañana", "what": "x"}, 422, "no time"),
        ({"when": "61 * * * *", "what": "x"}, 422, "61 can't stand there in cron: it is a minute"),
        ({"when": "every day at 9", "what": "x", "zone": "Mars"}, 422, "no time zone Mars"),
        ({"when": "tomorrow 9", "what": ""}, 422, ""),
        ({"when": "tomorrow 9", "what": "x", "project": "nowhere"}, 404, "nowhere"),
        ({"when": "tomorrow 9", "what": "x", "session": "s-none"}, 404, "s-none"),
        ({"when": "tomorrow 9", "what": "x" * 4001}, 422, ""),
        ({"when": "tomorrow 9", "what": "x", "moon": 1}, 422, ""),
        (
            {"when": "tomorrow 9", "what": "x", "only_changed": True},
            422,
            "nothing can have changed",
        ),
    ],
)
async def test_what_can_t_be_set_is_refused_and_says_why(site, body, status, said):
    async with site.client() as ann:
        answer = await ann.post("/api/v1/reminders", json=body)
        assert (answer.status_code, said in answer.text) == (status, True), answer.text
        assert (await ann.get("/api/v1/reminders")).json()["reminders"] == []


async def test_an_answer_is_posted_each_time_or_only_if_something_changed(site):
    async with site.client() as ann:
        wanted = {**DAILY, "answer": True, "only_changed": True}
        one = (await ann.post("/api/v1/reminders", json=wanted)).json()
        assert (one["answer"], one["only_changed"], one["by_agent"]) == (True, True, False)
        where = f"/api/v1/reminders/{one['reminder']}"
        changed = await ann.patch(where, json={"only_changed": False})
        assert changed.json()["only_changed"] is False


async def test_the_page_takes_a_moment_that_was_picked(site):
    async with site.client() as browser:
        browser.headers["Origin"] = site.url
        del browser.headers["Authorization"]
        await browser.post("/sign-in", data={"link": await site.link()})
        csrf = re.search(r'name="csrf" value="([^"]+)"', (await browser.get("/reminders")).text)[1]
        wrong = await browser.post(
            "/reminders", data={"csrf": csrf, "when": "mañana", "what": "tea"}
        )
        assert 'type="datetime-local"' in wrong.text
        picked = {"csrf": csrf, "when": "mañana", "at": "2029-12-24T09:00", "what": "tea"}
        asked = (await browser.post("/reminders", data=picked)).text
        assert 'name="when" value="2029-12-24 09:00"' in asked
        saved = await browser.post("/reminders", data={**picked, "sure": "yes"})
        assert saved.status_code == 303
        assert "2029-12-24 09:00" in (await browser.get("/reminders")).text


async def test_the_page_sets_pauses_and_deletes_without_a_script(site):
    async with site.client() as browser:
        browser.headers["Origin"] = site.url
        del browser.headers["Authorization"]
        await browser.post("/sign-in", data={"link": await site.link()})
        page = (await browser.get("/reminders")).text
        csrf = re.search(r'name="csrf" value="([^"]+)"', page)[1]
        wrong = await browser.post(
            "/reminders", data={"csrf": csrf, "when": "tomorrow at 3", "what": "tea"}
        )
        assert wrong.status_code == 422
        assert "03:00 or 15:00" in wrong.text
        assert 'value="tomorrow at 3"' in wrong.text
        # The form stands below the list: the browser goes where something is to be done.
        assert re.search(r'name="when"[^>]* autofocus aria-invalid="true"', wrong.text)
        await browser.post("/reminders", data={"csrf": csrf, **DAILY, "sure": "yes"})
        page = (await browser.get("/reminders")).text
        assert "look at &lt;b&gt;the build" in page
        assert "by Ann" not in page
        assert "by Ann" in (await browser.get("/reminders?everyone=true")).text
        short = re.search(r">(r-\w+)<", page)[1]
        await browser.post(f"/reminders/{short}/pause", data={"csrf": csrf})
        assert f"Resume {short}" in (await browser.get("/reminders")).text
        await browser.post(f"/reminders/{short}/delete", data={"csrf": csrf})
        assert "No reminder yet" in (await browser.get("/reminders")).text


async def test_the_page_says_back_what_is_set_before_it_is_saved(site):
    async with site.client() as browser:
        csrf = await sign_in(site, browser)
        wanted = {"when": "every friday", "what": "is <i>it open?", "answer": "yes"}
        asked = await browser.post("/reminders", data={"csrf": csrf, **wanted})
        assert asked.status_code == 200
        understood = asked.text.partition("Is that right?")[2].partition("</section>")[0]
        assert "I understood: every friday, in the time zone UTC." in understood
        assert len(re.findall(r"<time .*?09:00 UTC</time>", understood)) == 3
        assert "No time of day was said, so it is due at 9:00." in understood
        assert "An agent answers each time: is &lt;i&gt;it open?" in understood
        assert await kept(site) == []
        assert await site.rows("SELECT id FROM session") == []
        hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', understood)
        sent = {name: unescape(value) for name, value in hidden}
        assert (await browser.post("/reminders", data=sent)).status_code == 303
        assert await kept(site) == [("every friday", wanted["what"], "")]
        assert await site.rows("SELECT is_prompt FROM reminder") == [(True,)]


async def test_a_dry_run_says_what_it_would_be_and_saves_nothing(site):
    async with site.client() as ann:
        tried = await ann.post("/api/v1/reminders", json={**DAILY, "dry_run": True})
        assert tried.status_code == 200, tried.text
        one = tried.json()
        assert (one["reminder"], one["session"], len(one["next"])) == ("", None, 3)
        assert await kept(site) == []
        wrong = {"when": "tomorrow at 3", "what": "x", "dry_run": True}
        assert (await ann.post("/api/v1/reminders", json=wrong)).status_code == 422
        made = (await ann.post("/api/v1/reminders", json=DAILY)).json()
        where = f"/api/v1/reminders/{made['reminder']}"
        other = {"when": "every friday 16:00", "dry_run": True}
        changed = (await ann.patch(where, json=other)).json()
        assert (changed["reminder"], changed["when"]) == (made["reminder"], other["when"])
        assert (await ann.get(where)).json() == made


async def test_the_command_line_puts_one_off_and_is_done_with_it(site, ona):  # noqa: F811
    short = (await ona("reminders", "add", "every day at 9", "stretch")).out.split()[0]
    assert (await ona("reminders", "done", short)).out == "Done.\n"
    for until in (["10m"], ["tomorrow", "9"], ["friday 9"]):
        again = await ona("reminders", "snooze", short, *until)
        assert again.out.startswith("I say it again at"), again
    assert "put off to one time" in (await ona("reminders", "snooze", short, "every friday")).err
    async with site.client() as ann:
        where = f"/api/v1/reminders/{short}/snooze"
        assert (await ann.post(where, json={"until": ""})).status_code == 422
        assert "again" in (await ann.post(where, json={"until": "tomorrow 9"})).json()["text"]


async def test_what_was_missed_may_be_left_out(site, ona):  # noqa: F811
    add = ("reminders", "add", "every day at 9", "stretch")
    for more in ((), ("--if-missed", "once"), ("--if-missed", "skip")):
        assert (await ona(*add, *more)).code == 0
    rows = await site.rows("SELECT misfire FROM schedule ORDER BY created_at")
    assert rows == [("late",), ("late",), ("skip",)]
    assert (await ona(*add, "--if-missed", "twice")).code == 2


class Terminal(io.StringIO):
    """What somebody types who sits there."""

    def isatty(self) -> bool:
        return True


async def test_the_command_line_asks_whoever_sits_there(site, ona, monkeypatch):  # noqa: F811
    def types(words):
        monkeypatch.setattr("sys.stdin", Terminal(words))

    add = ("reminders", "add", "every day", "stretch")
    types("n\n")
    refused = await ona(*add)
    assert (refused.code, await kept(site)) == (2, [])
    assert "Understood: every day (UTC)" in refused.out
    assert "No time of day was said" in refused.out
    assert len(re.findall(r"^Due: .* 09:00$", refused.out, re.M)) == 3
    assert "Nothing was saved." in refused.err
    types("y\n")
    saved = await ona(*add)
    short = re.search(r"(r-\w+) active: every day \(UTC\)$", saved.out, re.M)[1]
    assert len(await kept(site)) == 1
    edit = ("reminders", "edit", short, "--what", "drink")
    types("n\n")
    assert "What: drink" in (await ona(*edit)).out
    assert await kept(site) == [("every day", "stretch", "")]
    types("")
    for more in ("--yes", "-y", "--json"):
        assert (await ona(*edit, more)).code == 0
    assert await kept(site) == [("every day", "drink", "")]


@asynccontextmanager
async def signed_in(site):
    """A browser of Ann's with its token against forgery, and her daily reminder."""
    async with site.client() as ann:
        short = (await ann.post("/api/v1/reminders", json=DAILY)).json()["reminder"]
    async with site.client() as browser:
        browser.headers["Origin"] = site.url
        del browser.headers["Authorization"]
        await browser.post("/sign-in", data={"link": await site.link()})
        page = (await browser.get(f"/reminders/{short}")).text
        csrf = re.search(r'name="csrf" value="([^"]+)"', page)[1]
        yield browser, f"/reminders/{short}", {"csrf": csrf}


async def kept(site):
    """When, what and quiet hours of every reminder, the first first."""
    rows = await site.rows("SELECT said, what, quiet FROM reminder ORDER BY created_at")
    return [tuple(row) for row in rows]


async def test_the_page_says_back_what_is_edited_before_it_is_saved(site):
    async with signed_in(site) as (browser, where, sent):
        assert where in (await browser.get("/reminders")).text
        wanted = {"when": "every friday 16:00", "what": "drink <i>tea", "quiet": "22-7", **sent}
        asked = await browser.post(where, data=wanted)
        assert asked.status_code == 200
        assert "I understood: every friday 16:00, in the time zone UTC." in asked.text
        understood = asked.text.partition("I understood")[2].partition("</section>")[0]
        assert len(re.findall(r"<time .*?16:00 UTC</time>", understood)) == 3
        assert "It says: drink &lt;i&gt;tea" in understood
        assert "Nothing is posted from 22:00-07:00." in understood
        assert await kept(site) == [("every day at 9", DAILY["what"], "")]
        saved = await browser.post(where, data={**wanted, "sure": "yes"})
        assert (saved.status_code, saved.headers["location"]) == (303, "/reminders")
        assert await kept(site) == [("every friday 16:00", "drink <i>tea", "22:00-07:00")]
        assert (await browser.post(where, data={"what": "x"})).status_code == 403


async def test_the_page_edits_all_of_it_or_nothing_and_lets_a_paused_one_rest(site):
    async with signed_in(site) as (browser, where, sent):
        wrong = {"when": "every friday 16:00", "quiet": "at night", "sure": "yes", **sent}
        refused = await browser.post(where, data=wrong)
        assert (refused.status_code, "These are no hours" in refused.text) == (422, True)
        assert 'value="at night"' in refused.text
        assert re.search(r'name="when"[^>]* autofocus aria-invalid="true"', refused.text)
        assert await kept(site) == [("every day at 9", DAILY["what"], "")]
        await browser.post(f"{where}/pause", data=sent)
        other = {"when": "every day at 9", "what": "stretch", "sure": "yes", **sent}
        await browser.post(where, data=other)
        assert await kept(site) == [("every day at 9", "stretch", "")]
        assert await site.rows("SELECT state FROM schedule") == [("paused",)]
        picked = {"when": "mañana", "at": "2029-12-24T09:00", "what": "stretch", **sent}
        assert "2029-12-24 09:00" in (await browser.post(where, data=picked)).text


async def test_the_page_puts_one_off(site):
    async with signed_in(site) as (browser, where, sent):
        for until in ("", "mañana", "every friday 16:00"):
            wrong = await browser.post(f"{where}/snooze", data={"until": until, **sent})
            assert (wrong.status_code, 'role="alert"' in wrong.text) == (422, True)
        own = {"until": "2029-12-24 9:00", **sent}
        asked = await browser.post(f"{where}/snooze", data=own)
        assert "I say it again at 2029-12-24 09:00 UTC." in asked.text
        assert len(await kept(site)) == 1
        assert (
            await browser.post(f"{where}/snooze", data={**own, "sure": "yes"})
        ).status_code == 303
        soon = {"until": "in 10 minutes", "sure": "yes", **sent}
        await browser.post(f"{where}/snooze", data=soon)
        assert [row[0] for row in await kept(site)] == ["every day at 9", "in 10 minutes"]


async def test_one_is_given_other_words_and_nobody_else_may(site, ona):  # noqa: F811
    async with site.client() as ann, site.client(await site.token_of(site.bo)) as bo:
        one = (await ann.post("/api/v1/reminders", json=DAILY)).json()
        where = f"/api/v1/reminders/{one['reminder']}"
        assert (await bo.patch(where, json={"what": "coffee"})).status_code == 404
        assert (await ann.patch(where, json={"what": ""})).status_code == 422
        changed = await ann.patch(where, json={"what": "coffee"})
        assert (changed.json()["what"], changed.json()["next"]) == ("coffee", one["next"])
        edited = await ona("reminders", "edit", one["reminder"], "--what", "cocoa")
        assert "What: cocoa" in edited.out


async def test_one_that_waits_for_a_yes_says_so_and_gets_it_on_the_page(site, ona):  # noqa: F811
    async with site.client() as ann:
        said = {"text": "remind me every friday 16:00 what is open", "new": True}
        await ann.post("/api/v1/prompts", json=said)
    async with site.client() as browser:
        browser.headers["Origin"] = site.url
        del browser.headers["Authorization"]
        await browser.post("/sign-in", data={"link": await site.link()})
        page = (await browser.get("/reminders")).text
        short = re.search(r">(r-\w+)<", page)[1]
        assert "waits for a yes" in page
        assert f"Resume {short}" not in page
        assert re.search(rf"{short} +waits for a yes ", (await ona("reminders", "list")).out)
        csrf = re.search(r'name="csrf" value="([^"]+)"', page)[1]
        await browser.post(f"/reminders/{short}/yes", data={"csrf": csrf})
        assert f"Pause {short}" in (await browser.get("/reminders")).text


async def test_the_command_line_shows_all_of_one_in_its_own_zone(site, ona):  # noqa: F811
    words = ("reminders", "add", "every friday 16:00", "what is open?")
    made = await ona(*words, "--answer", "--only-changed", "--zone", "Europe/Berlin")
    assert made.code == 0, made.err
    assert len(re.findall(r"^Due: Fri \d{4}-\d\d-\d\d 16:00$", made.out, re.M)) == 3, made.out
    assert "posted only if something changed" in made.out
    assert re.search(r"^Set in: s-\w+$", made.out, re.M)
    short = made.out.split()[0]
    assert "Quiet: 22:00-07:00" in (await ona("reminders", "edit", short, "--quiet", "22-7")).out
    assert "16:00  every friday 16:00  Europe/Berlin" in (await ona("reminders", "list")).out
    # What a reminder says of itself.
    assert "is gone" in (await ona("reminders", "stop", short)).out


async def test_the_command_line_does_the_same(site, ona):  # noqa: F811
    made = await ona("reminders", "add", "every day at 9", "stretch", "--json")
    assert made.code == 0, made.err
    short = json.loads(made.out)["reminder"]
    assert "stretch" in (await ona("reminders")).out
    assert "stretch" in (await ona("reminders", "list")).out
    assert "Due:" in (await ona("reminders", "show", short)).out
    edited = await ona("reminders", "edit", short, "--when", "every friday 16:00")
    assert "every friday 16:00" in edited.out
    assert "Paused" in (await ona("reminders", "pause", short)).out
    assert "due next" in (await ona("reminders", "resume", short)).out
    assert "is gone" in (await ona("reminders", "delete", short)).out
    made = await ona(
        "reminders", "add", "every day at 9", "x", "--answer", "--only-changed", "--json"
    )
    assert json.loads(made.out)["only_changed"] is True
    changed = await ona(
        "reminders", "edit", json.loads(made.out)["reminder"], "--each-time", "--json"
    )
    assert json.loads(changed.out)["only_changed"] is False
    unclear = await ona("reminders", "add", "tomorrow at 3", "x")
    assert (unclear.code, "03:00 or 15:00" in unclear.err) == (2, True), unclear.err
