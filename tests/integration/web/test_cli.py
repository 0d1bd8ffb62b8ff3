"""The command line as its own process, against a real server."""

import asyncio
import contextlib
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest

from bot.__main__ import main
from bot.first_prompt import FIRST_PROMPT, ask_in
from bot.ground import only_process
from bot.store.ids import new_id
from bot.store.states import TurnState
from tests.integration.web.site import pool_of
from tests.support import offline


@dataclass(kw_only=True)
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture
def ona(site, tmp_path, monkeypatch):
    """Runs `ona …` in a directory of its own, signed in as Ann; starting Python takes longer."""
    monkeypatch.chdir(tmp_path)
    for name, value in variables_of(site, tmp_path).items():
        monkeypatch.setenv(name, value)

    async def ona(*arguments, **variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return await run_ona(*arguments)

    return ona


async def run_ona(*arguments):
    """Run `ona …` as the environment is."""
    return await asyncio.wait_for(asyncio.to_thread(_run, arguments), 100)


def _run(arguments):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as end:
            return Ran(code=end.code or 0, out=out.getvalue(), err=err.getvalue())
    raise AssertionError("main returned without an exit code")


def variables_of(site, tmp_path):
    return {
        "ONA_URL": site.url,
        "ONA_TOKEN": site.token,
        "ONA_DATA_DIR": str(tmp_path / "data"),
    }


async def prompt_waits(site, count=1):
    async with asyncio.timeout(100):
        while await site.rows("SELECT count(*) FROM prompt") != [(count,)]:
            await asyncio.sleep(0.02)


async def test_wait_prints_the_reply_and_exits_with_the_outcome(site, ona):
    asking = asyncio.create_task(ona("ask", "--wait", "!make"))
    await prompt_waits(site)
    work = await site.begin()
    await work.output("\x1b[31mboom\x1b[0m\n")
    await work.end(TurnState.FAILED, summary="exit status 2")
    ran = await asking
    assert (ran.code, ran.out) == (1, "boom\n")
    assert "failed: exit status 2" in ran.err


async def test_wait_with_json_is_one_object(site, ona):
    asking = asyncio.create_task(ona("ask", "--wait", "--json", "!echo hi"))
    await prompt_waits(site)
    work = await site.begin()
    await work.output("hi\n")
    await work.end()
    ran = await asking
    said = json.loads(ran.out)
    assert ran.code == 0
    assert set(said) == {"session", "turn", "outcome", "reply", "seconds"}
    assert (said["outcome"], said["reply"], said["seconds"]) == ("succeeded", "hi", 1.5)
    assert said["turn"] == str(work.turn.id)


async def test_ask_follows_live_and_leaves_the_turn_running_on_interrupt(site, tmp_path):
    root = offline.path(Path(__file__).parents[3])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "ask", "!serve"),
        cwd=tmp_path,
        env={**os.environ, **variables_of(site, tmp_path), "PYTHONPATH": root},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    await prompt_waits(site)
    work = await site.begin()
    await work.output("listening\n")
    assert await asyncio.wait_for(process.stdout.readline(), 100) == b"listening\n"
    process.send_signal(2)
    _, err = await asyncio.wait_for(process.communicate(), 100)
    assert process.returncode == 130
    assert b"ona sessions stop" in err
    assert await site.rows("SELECT state FROM turn") == [("running",)]


async def test_a_directory_goes_on_with_its_session_and_new_opens_another(site, ona):
    first = json.loads((await ona("ask", "--json", "status")).out or "{}")
    assert first == {}, "a command without a session is refused"
    asking = asyncio.create_task(ona("ask", "--json", "!one"))
    await prompt_waits(site)
    await (await site.begin()).end()
    session = json.loads((await asking).out)["session"]
    status = json.loads((await ona("ask", "--json", "status")).out)
    assert status["session"] == session
    assert f"Session {session} is idle.\nTitle: one" in status["reply"]
    titled = await ona("sessions", "title", session, "A", "better one")
    assert titled.out == "The session is called “A better one” now.\n"
    audited = await ona("audit", "list", "--kind", "session.titled")
    assert audited.out.count("session.titled") == 1
    assert "A better one" in (await ona("sessions", "list")).out


async def test_the_first_ask_goes_on_in_the_session_of_the_first_prompt_of_up(site, ona, tmp_path):
    async with site.client() as client:
        heard: list[str] = []
        asking = asyncio.create_task(ask_in(tmp_path, client, FIRST_PROMPT, heard.append))
        await prompt_waits(site)
        work = await site.begin()
        await work.emit("step", step="cloning")
        await work.output("Hello\n")
        await work.end()
        assert await asking == "Hello\n— succeeded: exit status 0"
        assert [one.split(" “")[0] for one in heard] == ["The turn for", "Copying the repository …"]
    again = asyncio.create_task(ona("ask", "--wait", "--json", "!again"))
    await prompt_waits(site, 2)
    await (await site.begin()).end()
    (first,) = await site.rows("SELECT short FROM session")
    assert json.loads((await again).out)["session"] == first[0]


async def test_a_retry_is_followed_like_the_prompt_it_repeats(site, ona):
    asking = asyncio.create_task(ona("ask", "!one"))
    await prompt_waits(site)
    await (await site.begin()).end(TurnState.FAILED, summary="exit status 2")
    assert (await asking).code == 1
    again = asyncio.create_task(ona("ask", "--wait", "retry"))
    await prompt_waits(site, 2)
    work = await site.begin()
    await work.output("better\n")
    await work.end()
    ran = await again
    assert (ran.code, ran.out) == (0, "better\n")


async def test_a_turn_is_taken_back_from_the_terminal(site, ona):
    asking = asyncio.create_task(ona("ask", "!one"))
    await prompt_waits(site)
    await (await site.begin()).end()
    await asking
    ((short,),) = await site.rows("SELECT short FROM session")
    told = await ona("sessions", "undo", short)
    assert told.out == "The last turn is being taken back. Accepted.\n"
    again = await ona("sessions", "undo", short, "--json")
    assert json.loads(again.out)["session"] == short


async def test_lists_are_tables_or_json(site, ona):
    short = (await site.ask("!echo table"))["session"]
    await site.machine(short)
    table = (await ona("sessions")).out.splitlines()
    assert table[0].split() == [
        "SESSION", "STATE", "PROJECT", "QUEUED", "MACHINE", "ACTIVE", "TITLE",
    ]  # fmt: skip
    assert table[1].startswith(f"{short}  queued")
    for noun in ("sessions", "machines", "projects", "people", "tokens"):
        listed = json.loads((await ona(noun, "list", "--json")).out)
        assert listed[noun]
    shown = await ona("sessions", "show", short)
    assert "1. Ann: echo table" in shown.out


async def test_stopping_cancelling_and_machines_from_the_terminal(site, ona):
    short = (await site.ask("!one"))["session"]
    await site.machine(short)
    assert "held" in (await ona("sessions", "stop", short)).out
    assert "Resumed" in (await ona("sessions", "resume", short)).out
    assert "Cancelled prompt 1" in (await ona("sessions", "cancel", short, "1")).out
    assert (await ona("sessions", "stop", short)).code == 2
    assert "hibernates" in (await ona("machines", "hibernate", short)).out
    assert "destroyed" in (await ona("machines", "destroy", "--yes", short)).out
    await site.rows("UPDATE host SET seen_at = now() - interval '5 min'")
    assert "atlas (silent)" in (await ona("machines")).out
    await site.rows("UPDATE host SET given_up_at = now()")
    assert "atlas (given up)" in (await ona("machines", "show", short)).out


@pytest.mark.parametrize("token", ["", "ona_given"])
async def test_while_ona_up_starts_it_is_said_that_it_does(ona, tmp_path, monkeypatch, token):
    monkeypatch.delenv("ONA_URL")
    with only_process(tmp_path / "data" / "up.lock", "`ona up`"):
        ran = await ona("ask", "hi", ONA_TOKEN=token, ONA_PORT="9")
    assert ran.code == 3
    assert "`ona up` runs here, but does not answer yet. Nothing was asked." in ran.err
    gone = await ona("ask", "hi", ONA_TOKEN=token, ONA_PORT="9")
    assert gone.code == 3
    assert ("does not answer at" if token else "There is no API token") in gone.err


async def test_projects_people_and_tokens_from_the_terminal(ona, tmp_path):
    (tmp_path / "web").mkdir()
    added = await ona("projects", "add", "web", "./web", "--json")
    assert json.loads(added.out)["repository_url"] == str(tmp_path / "web")
    (tmp_path / "lib").mkdir()
    (tmp_path / "rules.md").write_text("Rules of web.\n")
    changed = await ona("projects", "change", "web", "--instructions", "rules.md")
    assert changed.code == 0, changed.err
    assert "Rules of web." in (await ona("projects", "show", "web")).out
    unread = await ona("projects", "change", "web", "--instructions", "nowhere.md")
    assert (unread.code, "nowhere.md can't be read" in unread.err) == (2, True)
    beside = await ona("projects", "add-repository", "web", "./lib", "--as", "shared")
    assert "beside its own: shared." in beside.out
    assert f"shared: {tmp_path / 'lib'}" in (await ona("projects", "show", "web")).out
    gone = await ona("projects", "remove-repository", "web", "shared")
    assert "shared is no repository of web any more" in gone.out
    again = await ona("projects", "add", "again", "./web")
    assert "is built next; `ona templates` and the page Pools show how far it is" in again.out
    assert "removed" in (await ona("projects", "remove", "web")).out
    assert "/sign-in?link=" in (await ona("people", "add", "Cy")).out
    assert "signed out" in (await ona("people", "deactivate", "Cy")).out
    token = (await ona("tokens", "add", "ci")).out.strip()
    assert (await ona("sessions", ONA_TOKEN=token)).code == 0


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "words"),
    [
        (["sessions"], {"ONA_URL": "http://127.0.0.1:9"}, 3, "Start it with `ona up`"),
        (["sessions"], {"ONA_TOKEN": ""}, 3, "There is no API token"),
        (["sessions"], {"ONA_TOKEN": "ona_wrong"}, 3, "does not know this token"),
        (["sessions"], {"ONA_COLOUR": "red"}, 2, "ONA_COLOUR"),
        (["sessions", "show", "s-nope"], {}, 2, "There is no session s-nope"),
        (["ask", "--new", "--session", "s-x", "hi"], {}, 2, "exclude each other"),
        (["ask", "   "], {}, 2, "empty"),
        (["ask"], {}, 2, "Missing argument"),
        (["ask", "a\udcff"], {}, 2, "An argument is not valid UTF-8: a\\xff"),
        (["sessions", "show", "\udcff"], {}, 2, "not valid UTF-8"),
        (["sesions"], {}, 2, "No such command"),
    ],
)
async def test_what_goes_wrong_has_its_exit_code_and_says_what_to_do(
    ona, arguments, variables, code, words
):
    ran = await ona(*arguments, **variables)
    assert (ran.code, ran.out) == (code, "")
    assert words in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("state", "built", "seconds"),
    [
        ("ready", True, "6.8"),
        ("building", False, "-"),
        ("failed", False, "6.8"),
        ("failed", True, "6.8"),
    ],
)
async def test_only_a_template_that_was_built_has_taken_its_time(site, ona, state, built, seconds):
    await pool_of(site, state=state, built=built)
    table = (await ona("templates")).out.splitlines()
    heads, shown = (re.split(r"\s{2,}", line.strip()) for line in table)
    assert shown[heads.index("SECONDS")] == seconds
    async with site.client() as browser:
        link = {"link": await site.link()}
        await browser.post("/sign-in", data=link, headers={"Origin": site.url})
        page = (await browser.get("/pools")).text
    assert ("built in 6.8 s" in page) is built, "one that is of no use any more was, too"
    assert ("failed after 6.8 s" in page) is (state == "failed" and not built)


async def test_pools_and_each_machine_that_waits_are_shown_with_why(site, ona):
    await pool_of(site)
    pools = (await ona("pool")).out
    for words in ("1 of 4 (25%)", "1/2", "about 3.0 an hour expected"):
        assert words in pools, words
    machines = (await ona("pool", "--machines")).out
    assert machines.splitlines()[0].split() == [
        "MACHINE",
        "PROJECT",
        "SIZE",
        "HOST",
        "TIER",
        "SINCE",
        "WHY",
    ]
    for words in ("m-", "demo", "hot", "2 should be hot"):
        assert words in machines, words
    heads, listed = (line.split() for line in (await ona("machines")).out.splitlines())
    assert listed[heads.index("STATE")] == "hot", "as in the list of the pool"
    (machine,) = json.loads((await ona("pool", "--machines", "--json")).out)["machines"]
    assert (machine["tier"], machine["why"]) == ("hot", "2 should be hot")


async def test_a_project_that_does_not_exist_is_no_empty_list(ona, site):
    listed = await ona("sessions", "list", "--project", "demo")
    assert (listed.code, "No session of demo yet" in listed.err) == (0, True)
    wrong = await ona("sessions", "list", "--project", "nope")
    assert (wrong.code, wrong.out) == (2, "")
    assert "no project" in wrong.err
    assert "nope" in wrong.err


async def test_mute_in_a_terminal_says_that_it_has_no_effect(ona, site):
    asking = asyncio.create_task(ona("ask", "--json", "!true"))
    await prompt_waits(site)
    await (await site.begin()).end()
    await asking
    muted = await ona("ask", "mute")
    assert "Nothing is posted here that could be muted" in muted.out + muted.err
    assert not (await site.rows("SELECT 1 FROM thread WHERE muted"))


async def test_the_version_is_told(ona, site):
    told = await ona("--version")
    assert (told.code, told.out) == (0, f"ona {version('ona')}\n")


async def test_templates_say_when_one_is_tried_again_and_what_is_not_begun(site, ona):
    template_id = await pool_of(site, state="failed", built=False, note="`make` was not found")
    await site.rows(
        "INSERT INTO template_wait (host_id, project_id, size, why, failures, not_before, ahead,"
        " changed_at) SELECT :host, id, wait.size, 'there is none yet', failures, until, 0, now()"
        " FROM project, (VALUES ('small', 2, CAST('2030-01-02 12:00Z' AS timestamptz)),"
        " ('large', 0, NULL)) AS wait (size, failures, until) WHERE name = 'demo'",
        host=site.host_id,
    )
    found = await ona("templates")
    heads, failed, waiting = (re.split(r"\s{2,}", line.strip()) for line in found.out.splitlines())
    at = datetime(2030, 1, 2, 12, tzinfo=UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    assert failed[heads.index("AGAIN") :] == [at, "`make` was not found; failed 2 times in a row"]
    assert waiting[:4] == ["-", "demo", "large", "waiting"]
    assert waiting[heads.index("AGAIN") :] == ["next", "there is none yet"]
    shown = (await ona("templates", "show", str(template_id))).out
    assert re.search(rf"Tried again +{at}\n", shown)


async def test_a_machine_that_is_set_up_for_a_template_says_so(site, ona):
    template_id = await pool_of(site, state="building", built=False)
    machine_id = new_id()
    await site.rows(
        "INSERT INTO machine (id, host_id, size, vcpus, memory_mib, disk_gib, image_digest, state,"
        " generation, created_at, used_at, changed_at) VALUES (:id, :host, 'small', 1, 512, 8, 'd',"
        " 'running', 1, now(), now(), now())",
        id=machine_id,
        host=site.host_id,
    )
    await site.rows("UPDATE template SET machine_id = :id", id=machine_id)
    building = f"building template t-{str(template_id)[-8:]}"
    _heads, first, second = (await ona("machines")).out.splitlines()
    assert sorted(re.split(r"\s{2,}", row)[1:4] for row in (first, second)) == [
        [building, "-", "demo"],
        ["hot", "-", "demo"],
    ]
    assert building in (await ona("machines", "show", str(machine_id))).out


async def test_in_a_checkout_of_a_project_it_need_not_be_named(site, ona, tmp_path, monkeypatch):
    for name in ("web", "api"):
        (tmp_path / name).mkdir()
        subprocess.run(["git", "-C", str(tmp_path / name), "init", "-q"], check=True)
        assert (await ona("projects", "add", name, f"./{name}")).code == 0
    several = await ona("ask", "--new", "--wait", "!true")
    assert several.code == 2
    assert "could be several projects" in several.err
    monkeypatch.chdir(tmp_path / "api")
    asking = asyncio.create_task(ona("ask", "--wait", "!true"))
    await prompt_waits(site)
    work = await site.begin()
    await work.end()
    assert (await asking).code == 0
    assert "api" in (await ona("sessions", "list", "--project", "api")).out
