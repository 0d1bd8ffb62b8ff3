"""What the clock says is what its reader can do where they read it: terminal, page, chat."""

import re

from bot.govern import projects
from tests.integration.web.site import sign_in
from tests.integration.web.test_cli import ona  # noqa: F401  (a fixture)

NIGHTLY = (
    "schema: ona/automation/v1\nname: nightly\nsteps: [{prompt: look}]\n"
    "triggers:\n  - cron: 0 9 * * *\n"
)


async def add_project(site, name: str) -> None:
    async with site.database.begin() as tx:
        new = projects.NewProject(name=name, repository_url=f"/srv/{name}")
        await projects.add_project(tx, new)


def one_line(said: str) -> bool:
    return said.startswith("ona: ") and said.count("\n") <= 2 and "openapi" not in said


async def test_which_project_is_asked_as_the_reader_can_say_it(site, ona):  # noqa: F811
    await add_project(site, "shop")
    ran = await ona("reminders", "add", "tomorrow 9", "tea")
    assert ran.code == 2
    assert "Say --project NAME, one of: demo, shop." in ran.err
    async with site.client() as browser:
        csrf = await sign_in(site, browser)
        page = (await browser.get("/reminders")).text
        listed = r'<select id="reminder-project" name="project" required>\s*<option value="">choose'
        assert re.search(listed, page)
        assert re.findall(r"<option>(\w+)</option>", page) == ["demo", "shop"]
        filled = {"csrf": csrf, "when": "tomorrow", "what": "tea"}
        refused = (await browser.post("/reminders", data=filled)).text
        assert "project=" not in refused.split("<main", 1)[1]
        assert "Choose its project." in refused
        wrong = {**filled, "project": "shop", "when": "mañana"}
        kept = (await browser.post("/reminders", data=wrong)).text
        assert "<option selected>shop</option>" in kept
        asked = (await browser.post("/reminders", data={**filled, "project": "shop"})).text
        assert "due at 9:00" in asked
        assert "Its project is shop." in asked
        for path in ("/automations", "/status"):
            names = re.findall(r"<option>(\w+)</option>", (await browser.get(path)).text)
            assert names == ["demo", "shop"], path


async def test_a_form_lists_no_project_that_its_reader_may_not_use(site, monkeypatch):
    await add_project(site, "hidden")
    visible = site.services.rights.visible

    async def all_but_hidden(who, rows, **more):
        return [one for one in await visible(who, rows, **more) if one.get("name") != "hidden"]

    monkeypatch.setattr(site.services.rights, "visible", all_but_hidden)
    async with site.client() as browser:
        await sign_in(site, browser)
        for path in ("/reminders", "/automations"):
            page = (await browser.get(path)).text
            assert re.findall(r"<option[^>]*>(\w+)</option>", page) == ["demo"], path


async def test_hints_in_the_terminal_are_commands_of_it(site, ona):  # noqa: F811
    made = await ona("reminders", "add", "every day at 9", "stretch")
    short = made.out.split()[0]
    hint = await ona("reminders", "edit", short, "--only-changed")
    assert hint.code == 2
    assert f"`ona reminders answer {short}`" in hint.err
    assert f"`ona reminders edit {short} --each-time`" in hint.err
    hours = await ona("reminders", "edit", short, "--quiet", "never")
    assert f"`ona reminders edit {short} --quiet 22:00-07:00`" in hours.err
    assert f"`ona reminders resume {short}`" in (await ona("reminders", "pause", short)).out
    assert f"`ona reminders stop {short}`" in (await ona("reminders", "answer", short)).out
    assert "Answered by an agent" in (await ona("reminders", "show", short)).out
    assert "`ona reminders` lists yours" in (await ona("reminders", "show", "r-none")).err
    assert "`ona runs` lists" in (await ona("runs", "show", "run-none")).err
    assert "`ona automations` lists" in (await ona("automations", "show", "none")).err


async def test_one_that_waits_for_a_yes_gets_it_in_the_terminal(site, ona):  # noqa: F811
    words = "remind me every friday 16:00 what is open"
    said = (await ona("ask", "--new", words)).out
    short = re.search(r"`ona reminders yes (r-\w+)`", said)[1]
    assert "due next" in (await ona("reminders", "yes", short)).out
    other = re.search(r"`ona reminders no (r-\w+)`", (await ona("ask", "--new", words)).out)[1]
    assert "is gone" in (await ona("reminders", "no", other)).out


async def test_a_time_that_was_assumed_is_said_everywhere(site, ona):  # noqa: F811
    made = await ona("reminders", "add", "tomorrow", "tea")
    assert "No time of day was said, so 9:00 was taken." in made.out
    short = made.out.split()[0]
    assert "No time" not in (await ona("reminders", "show", short)).out
    edited = await ona("reminders", "edit", short, "--when", "friday 10:00")
    assert "No time" not in edited.out
    assert "No time" in (await ona("reminders", "edit", short, "--when", "every friday")).out
    # An edit of something else is no time.
    assert (await ona("reminders", "edit", short, "--when", "quiet 22-7")).code == 2
    async with site.client() as ann:
        body = {"when": "tomorrow", "what": "tea"}
        assert (await ann.post("/api/v1/reminders", json=body)).json()["time_assumed"] is True
        said = {"text": f"reminders edit {short} tomorrow", "new": True}
        told = (await ann.post("/api/v1/prompts", json=said)).json()["text"]
        assert told.endswith("No time of day was said, so I took 9:00.")


async def test_reminders_are_listed_in_the_zone_of_who_asks(site):
    await site.rows("UPDATE person SET zone = 'Asia/Tokyo' RETURNING id")
    async with site.client() as ann:
        body = {"when": "every day at 9", "what": "tea"}
        short = (await ann.post("/api/v1/reminders", json=body)).json()["reminder"]
        for asked in ("reminders", f"reminders show {short}"):
            said = {"text": asked, "new": True}
            told = (await ann.post("/api/v1/prompts", json=said)).json()["text"]
            assert re.search(r"\d{4}-\d\d-\d\d 09:00 JST", told), told


async def test_what_is_typed_wrongly_is_refused_in_a_line(site, ona, tmp_path):  # noqa: F811
    (tmp_path / "empty.yaml").touch()
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe")
    (tmp_path / "right.yaml").write_text(NIGHTLY)
    made = (await ona("automations", "make", "demo", "right.yaml")).out
    automation = re.search(r"a-\w+", made)[0]
    paused = (await ona("automations", "pause", "nightly")).out
    assert f"`ona automations resume {automation}`" in paused
    assert (await ona("automations", "resume", automation)).code == 0
    short = (await ona("reminders", "add", "every day at 9", "tea")).out.split()[0]
    for arguments, said in (
        (("reminders", "add", "", "tea"), "WHEN is empty. Nothing was saved. Say it like `ona"),
        (("reminders", "add", "tomorrow 9", " "), "WHAT is empty."),
        (("reminders", "add", "tomorrow 9", "tea", "--only-changed"), "Add --answer"),
        (("reminders", "add", "61 * * * *", "tea"), "a minute from 0 to 59"),
        (("reminders", "show", ""), "A name is empty."),
        (("reminders", "edit", short), "Give --when, --quiet, --only-changed or --each-time."),
        (("runs", "list", "--project", "none"), "no project none"),
        (("runs", "rerun", "run-none", "some"), "Say failed, all, or the number of a target."),
        (("automations", "list", "--project", "none"), "no project none"),
        (("automations", "make", "demo", "none.yaml"), "The file none.yaml can't be read: No such"),
        (("automations", "make", "demo", "."), "The file . can't be read: Is a directory."),
        (("automations", "make", "demo", "empty.yaml"), "The file empty.yaml is empty."),
        (("automations", "make", "demo", "bytes.yaml"), "is no text in UTF-8."),
        (("automations", "make", "demo", "right.yaml"), "an automation nightly already"),
        (("automations", "resume", "nightly"), "The automation nightly is not paused."),
    ):
        ran = await ona(*arguments)
        assert (ran.code, ran.out) == (2, ""), (arguments, ran)
        assert said in ran.err, (arguments, ran.err)
        assert one_line(ran.err), ran.err
