"""Automations over the API, on their page and on the command line."""

import json
import re

import pytest
from pydantic import SecretStr

from bot.automate.automations import DIGEST_LENGTH_MIN
from bot.automate.files import folders
from bot.automate.files.folders import Taken
from bot.automate.files.json_schema import json_schema
from bot.automate.files.parsing import read
from bot.automate.triggers.hook_secrets import PREFIX, HookSecrets
from scheduler import due_rows
from tests.integration.web.test_cli import ona  # noqa: F401  (a fixture)
from tests.unit.automate.files.test_json_schema import EXAMPLES

HEAD = "schema: ona/automation/v1\nname: nightly\nsteps: [{prompt: look at <b>it</b>}]\n"
DAILY = HEAD + "triggers:\n  - cron: 0 9 * * *\n"
WHERE = "/api/v1/automations"


async def synced(site, *files: str) -> None:
    """Let the folder of the project say this."""
    ((project_id, name),) = await site.rows("SELECT id, name FROM project LIMIT 1")
    found = [read(f"{number}.yaml", data.encode()) for number, data in enumerate(files)]
    async with site.database.begin() as tx:
        await folders.take(tx)
        taken = Taken(
            project_id=project_id, project=name, url="", commit="", as_of=await due_rows.now(tx)
        )
        await folders.sync(tx, taken, "c" * 40, found)


async def project_of(site) -> str:
    ((name,),) = await site.rows("SELECT name FROM project LIMIT 1")
    return name


async def test_a_file_is_listed_approved_paused_and_resumed(site):
    await synced(site, DAILY, "on: push\n", HEAD.replace("nightly", "b") + "overlap: skipp\n")
    async with site.client() as ann:
        found = (await ann.get(WHERE)).json()
        (one,) = found["automations"]
        assert (one["name"], one["state"], one["source"]) == ("nightly", "proposed", "")
        assert "0 9 * * *" in one["proposed"]
        assert [file["kind"] for file in found["files"]] == ["other", "wrong"]
        assert "did you mean skip?" in found["files"][1]["said"][0]
        where = f"{WHERE}/{one['automation']}"
        wrong = await ann.post(f"{where}/approve", json={"digest": "0" * 12})
        assert (wrong.status_code, "something else" in wrong.text) == (422, True)
        digest = one["proposed_digest"][:DIGEST_LENGTH_MIN]
        counts = await ann.post(f"{where}/approve", json={"digest": digest})
        assert (counts.status_code, counts.json()["webhooks"]) == (200, []), counts.text
        one = (await ann.get(where)).json()
        assert (one["state"], one["approved_by"], one["proposed"]) == ("active", "Ann", "")
        assert one["next"] == one["triggers"][0]["next"]
        assert "is paused" in (await ann.post(f"{where}/pause")).json()["text"]
        assert (await ann.get(where)).json()["next"] is None
        assert (await ann.post(f"{where}/pause")).status_code == 409
        assert "goes on" in (await ann.post(f"{where}/resume")).json()["text"]
        again = await ann.get(f"{WHERE}/nightly", params={"project": await project_of(site)})
        assert again.json()["automation"] == one["automation"]
        assert (await ann.delete(where)).status_code == 422


async def test_who_is_no_operator_approves_nothing_where_no_forge_says_so(site):
    await synced(site, DAILY)
    async with site.client(await site.token_of(site.bo)) as bo:
        (one,) = (await bo.get(WHERE)).json()["automations"]
        where = f"{WHERE}/{one['automation']}/approve"
        refused = await bo.post(where, json={"digest": one["proposed_digest"]})
        assert (refused.status_code, "administers" in refused.text) == (422, True)
        # What nobody has approved may search for what they may not see.
        looked = await bo.get(f"{WHERE}/{one['automation']}/preview")
        assert (looked.status_code, "administers" in looked.text) == (422, True)


async def test_one_is_made_changed_run_and_removed_here(site):
    project = await project_of(site)
    async with site.client() as ann:
        body = {"project": project, "source": DAILY + "  - webhook:\n"}
        made = await ann.post(WHERE, json=body)
        assert made.status_code == 201, made.text
        (hook,) = made.json()["webhooks"]
        assert hook["secret"].startswith(PREFIX)
        assert hook["sealed"] is False
        assert hook["address"].endswith(f"/hooks/automations/{hook['trigger']}")
        ((kept,),) = await site.rows("SELECT sealed FROM automation_trigger WHERE sealed <> ''")
        assert await HookSecrets().open(kept) == SecretStr(hook["secret"])
        where = f"{WHERE}/{made.json()['automation']}"
        assert PREFIX not in (await ann.get(where)).text
        looked = (await ann.get(f"{where}/preview")).json()
        assert (looked["runs_as"], looked["steps"], looked["why"]) == ("Ann", ["prompt"], "")
        assert [target["name"] for target in looked["targets"]] == [project]
        assert len(looked["next"]) == 3
        assert await site.rows("SELECT count(*) FROM run") == [(0,)]
        keyed = {"Idempotency-Key": "k"}
        begun = await ann.post(f"{where}/run", headers=keyed)
        assert (begun.status_code, begun.json()["why"]) == (202, "")
        same = await ann.post(f"{where}/run", headers=keyed)
        assert same.json()["run"] == begun.json()["run"]
        (run,) = (await ann.get(where)).json()["runs"]
        assert (run["run"], run["targets"]) == (begun.json()["run"], {"waiting": 1})
        changed = await ann.put(where, json={"source": HEAD})
        assert changed.json()["webhooks"] == []
        assert await site.rows("SELECT count(*) FROM automation_trigger") == [(0,)]
        assert "is removed" in (await ann.delete(where)).json()["text"]
        assert (await ann.get(where)).status_code == 404


@pytest.mark.parametrize(
    ("source", "status", "said"),
    [
        ("name: a\nsteps: [{promt: x}]\n", 422, "did you mean prompt?"),
        ("a: [", 422, "a bracket that closes"),
        ("", 422, ""),
        ("name: a\nsteps: [{prompt: x}]\nruns_as: nobody\n", 404, "nobody"),
        ("name: a\nsteps: [{prompt: x\u202ey}]\n", 422, "automation.yaml:2:19: steps[0].prompt: "),
        ('{"name": "a", "steps": [{"run": "r\\u200bm"}]}', 422, "found: U+200B ZERO WIDTH SPACE"),
    ],
)
async def test_what_can_not_be_made_is_refused_and_says_why(site, source, status, said):
    async with site.client() as ann:
        body = {"project": await project_of(site), "source": source}
        answer = await ann.post(WHERE, json=body)
        assert (answer.status_code, said in answer.text) == (status, True), answer.text
        assert (await ann.get(WHERE)).json()["automations"] == []


async def test_one_is_not_changed_to_what_nobody_would_see(site):
    source = "name: a\nsteps: [{prompt: x}]\n"
    async with site.client() as ann:
        made = await ann.post(WHERE, json={"project": await project_of(site), "source": source})
        where = f"{WHERE}/{made.json()['automation']}"
        before = (await ann.get(where)).json()["source"]
        changed = {"source": source.replace("x", "x\U000e0072")}
        answer = await ann.put(where, json=changed)
        assert answer.status_code == 422, answer.text
        assert "found: U+E0072 TAG LATIN SMALL LETTER R" in answer.text
        assert (await ann.get(where)).json()["source"] == before


async def test_the_schema_is_open_to_editors(site):
    async with site.client() as editor:
        del editor.headers["Authorization"]
        assert (await editor.get(f"{WHERE}/schema")).json() == json_schema()
        assert (await editor.get(WHERE)).status_code == 401


async def test_the_page_approves_runs_and_makes_without_a_script(site):
    await synced(site, DAILY)
    async with site.client() as browser:
        browser.headers["Origin"] = site.url
        del browser.headers["Authorization"]
        await browser.post("/sign-in", data={"link": await site.link()})
        page = (await browser.get("/automations")).text
        assert "&lt;b&gt;it&lt;/b&gt;" in page
        csrf = re.search(r'name="csrf" value="([^"]+)"', page)[1]
        short = re.search(r'id="(a-[a-z0-9]+)"', page)[1]
        digest = re.search(r'name="digest" value="([0-9a-f]{64})"', page)[1]
        assert f"/automations/{short}/run" not in page
        data = {"csrf": csrf, "digest": digest}
        assert (await browser.post(f"/automations/{short}/approve", data=data)).status_code == 303
        page = (await browser.get("/automations")).text
        assert "approved by Ann" in page
        key = re.search(r'name="key" value="([^"]+)"', page)[1]
        for _again in range(2):
            data = {"csrf": csrf, "key": key}
            begun = await browser.post(f"/automations/{short}/run", data=data)
            assert begun.headers["location"].startswith("/runs/run-")
        assert await site.rows("SELECT count(*) FROM run") == [(1,)]
        await browser.post(f"/automations/{short}/pause", data={"csrf": csrf})
        assert "Resume nightly" in (await browser.get("/automations")).text
        data = {"csrf": csrf, "project": await project_of(site), "source": "name: [\n"}
        refused = await browser.post("/automations", data=data)
        assert (refused.status_code, "name: [" in refused.text) == (422, True)
        data["source"] = "name: h\nsteps: [{prompt: x\u2066y}]\n"
        refused = await browser.post("/automations", data=data)
        assert (refused.status_code, "U+2066" in refused.text) == (422, True)
        data["source"] = "name: hook\r\nsteps: [{prompt: x}]\r\ntriggers:\r\n  - webhook:\r\n"
        made = await browser.post("/automations", data=data)
        assert PREFIX in made.text
        assert "whoever reads the database" in made.text
        assert "no-store" in made.headers["cache-control"]
        assert PREFIX not in (await browser.get("/automations")).text


async def test_the_command_line_validates_without_a_server(ona, tmp_path):  # noqa: F811
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(HEAD)
    bad.write_text(HEAD.replace("nightly", "bad") + "overlap: skipp\n")
    (tmp_path / "other.yml").write_text("on: push\n")
    away = {"ONA_URL": "http://127.0.0.1:1"}
    ran = await ona("automations", "validate", str(good), **away)
    assert (ran.code, "nightly is right" in ran.out) == (0, True)
    ran = await ona("automations", "validate", str(tmp_path), **away)
    assert ran.code == 1
    assert f"{bad}:4:10: overlap: expected:" in ran.out
    assert "other.yml is left alone" in ran.out
    ran = await ona("automations", "validate", str(tmp_path), "--json", **away)
    kinds = {one["kind"] for one in json.loads(ran.out)["files"]}
    assert (ran.code, kinds) == (1, {"automation", "wrong", "other"})
    assert (await ona("automations", "validate", str(tmp_path / "none"), **away)).code == 2
    ran = await ona("automations", "schema", **away)
    assert json.loads(ran.out) == json_schema()


async def test_the_command_line_approves_runs_and_pauses(site, ona):  # noqa: F811
    await synced(site, DAILY)
    project = await project_of(site)
    listed = (await ona("automations")).out
    assert "proposed" in listed
    assert "cron 0 9 * * * in UTC" in listed
    shown = await ona("automations", "show", "nightly")
    assert "cron: 0 9 * * *" in shown.out
    early = await ona("automations", "run", "nightly")
    assert (early.code, "`ona automations approve`" in early.out) == (1, True), early
    asked = await ona("automations", "approve", "nightly")
    assert (asked.code, "--digest" in asked.err) == (2, True)
    digest = json.loads((await ona("automations", "show", "nightly", "--json")).out)
    told = await ona("automations", "approve", "nightly", "--digest", digest["proposed_digest"])
    assert (told.code, "in the name of Ann" in told.out) == (0, True), told.err
    assert (await ona("automations", "approve", "nightly", "--yes")).code == 2
    await synced(site, DAILY.replace("0 9", "0 10"))
    changed = await ona("automations", "approve", f"{project}/nightly", "--yes")
    assert "- cron: 0 9 * * *" in changed.out
    assert "+ cron: 0 10 * * *" in changed.out
    dry = await ona("automations", "run", "nightly", "--dry-run")
    assert f"On {project}" in dry.out
    assert "When: cron 0 10 * * * in UTC" in dry.out
    assert "Next: " in dry.out
    assert await site.rows("SELECT count(*) FROM run") == [(0,)]
    assert "has begun" in (await ona("automations", "run", "nightly")).out
    assert "is paused" in (await ona("automations", "pause", f"{project}/nightly")).out
    assert "goes on" in (await ona("automations", "resume", "nightly")).out
    assert (await ona("automations", "remove", "nightly")).code == 2
    assert (await ona("automations", "show", "none")).code == 2


async def test_the_command_line_makes_one_and_says_the_whole_address(site, ona, tmp_path):  # noqa: F811
    project = await project_of(site)
    file = tmp_path / "deploy.yaml"
    file.write_text(
        "schema: ona/automation/v1\nname: deploy\ntriggers: [{webhook: }]\nsteps: [{run: make}]\n"
    )
    made = await ona("automations", "make", project, str(file))
    assert made.code == 0, made.err
    address = re.search(r"^Webhook: (\S+)$", made.out, re.M)[1]
    assert address.startswith(f"{site.url}/hooks/automations/t-")
    assert f"a webhook {address}" in (await ona("automations", "show", "deploy")).out
    await site.rows(
        "INSERT INTO trigger_event (id, trigger_id, key, state, why) SELECT gen_random_uuid(), id,"
        " why, 'dropped', why FROM automation_trigger, unnest('{overlap,coalesced}'::text[]) AS why"
        " RETURNING id"
    )
    shown = (await ona("automations", "show", "deploy")).out
    assert re.findall(r"^No run at .*: (\w+)$", shown, re.M) == ["overlap"]
    assert "active" in (await ona("automations")).out
    none = await ona("automations", "make", project, str(tmp_path / "none.yaml"))
    assert (none.code, "Nothing was made" in none.err) == (2, True), none.err
    assert "removed" in (await ona("automations", "remove", "deploy")).out


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
async def test_an_example_is_proposed_approved_and_dry_run(site, ona, path):  # noqa: F811
    await site.rows(
        "INSERT INTO person (id, name) VALUES (gen_random_uuid(), 'release-bot') RETURNING id"
    )
    await synced(site, path.read_text())
    before = await ona("automations", "run", path.stem, "--dry-run")
    if "search:" not in path.read_text():
        assert "once it is approved" in before.out
        assert "In the name of" in before.out
    told = await ona("automations", "approve", path.stem, "--yes")
    assert told.code == 0, told.err
    looked = await ona("automations", "run", path.stem, "--dry-run", "--json")
    if "search:" in path.read_text():
        # No code host is connected here that could be searched.
        assert (looked.code, "searched" in looked.err) == (2, True)
        return
    found = json.loads(looked.out)
    assert found["name"] == path.stem
    assert found["steps"]
    assert found["targets"]
