"""Runs over the API, on their pages and on the command line."""

import csv
import io
import json
import re

import pytest

from adapters.forge.port import Permission
from bot.automate.definition import TARGETS_MAX
from bot.store.ids import new_id
from tests.fakes.forge import KnowingForge
from tests.integration.web.site import running_site, sign_in
from tests.integration.web.test_cli import ona  # noqa: F401  (a fixture)
from tests.support.runs import charge_of, pull_of, run_of, set_target

HOSTILE = "=HYPERLINK(\"https://evil.test\")<script>alert('x')</script>"


async def fleet_of(site):
    run = await run_of(site, site.ann)
    await pull_of(site, run, 1, site.ann)
    await charge_of(site, run.sessions[1][0], site.ann, 25)
    await set_target(site, run, 2, why=HOSTILE)
    return run


async def test_a_run_is_shown_with_its_targets(site):
    run = await fleet_of(site)
    async with site.client() as ann:
        (listed,) = (await ann.get("/api/v1/runs")).json()["runs"]
        assert (listed["run"], listed["status"], listed["counts"]["total"]) == (
            run.short,
            "running",
            4,
        )
        assert (await ann.get("/api/v1/runs", params={"project": "none"})).status_code == 404
        shown = (await ann.get(f"/api/v1/runs/{run.short}")).json()
        assert shown["cost_usd"] == 0.25
        assert shown["pull_requests"] == {"open": 1}
        assert 0 < shown["eta_seconds"] <= 60
        assert shown["facts"] == {"at": "2026-11-28T16:00:00+00:00"}
        targets = f"/api/v1/runs/{run.short}/targets"
        first = (await ann.get(targets, params={"limit": 3})).json()
        rest = (await ann.get(targets, params={"after": first["next"]})).json()
        assert [one["place"] for one in first["targets"] + rest["targets"]] == [1, 2, 3, 4]
        assert (first["next"], rest["next"], rest["hidden"]) == (3, None, 0)
        one = first["targets"][0]
        assert (one["session"], one["pull_requests"][0]["number"]) == (run.sessions[1][1], 101)
        failed = (await ann.get(targets, params={"state": "failed"})).json()
        assert [one["place"] for one in failed["targets"]] == [2]
        assert (await ann.get("/api/v1/runs/run-none")).status_code == 404


async def test_a_run_is_stopped_and_run_again(site):
    run = await fleet_of(site)
    async with site.client() as ann:
        where = f"/api/v1/runs/{run.short}"
        assert "Stopping" in (await ann.post(f"{where}/stop")).json()["text"]
        assert (await ann.post(f"{where}/stop")).status_code == 409
        assert (await ann.post(f"{where}/rerun")).status_code == 409
        await set_target(site, run, 3, state="stopped")
        assert (await ann.get(where)).json()["stopped"] == "Ann stopped the run"
        one = await ann.post(f"{where}/rerun", json={"which": 2})
        assert one.json()["text"] == f"1 target of {run.short} is run again."
        rest = await ann.post(f"{where}/rerun", json={"which": "all"})
        assert rest.json()["text"] == f"3 targets of {run.short} are run again."
        assert (await ann.post(f"{where}/rerun", json={"which": "some"})).status_code == 422
        assert (await ann.post(f"{where}/rerun", json={"which": 99})).status_code == 404
        shown = (await ann.get(where)).json()
        assert (shown["status"], shown["stopped"]) == ("waiting", "")


async def test_all_targets_are_taken_away_as_a_table_without_formulas(site):
    run = await fleet_of(site)
    async with site.client() as ann:
        answer = await ann.get(f"/api/v1/runs/{run.short}/export.csv")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert f'filename="{run.short}.csv"' in answer.headers["content-disposition"]
        rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
        assert [row["state"] for row in rows] == ["done", "failed", "running", "waiting"]
        assert rows[1]["why"] == f"'{HOSTILE}"
        assert rows[0]["pull_requests"] == "https://github.com/acme/repo-1/pull/101"
        assert (rows[0]["cost_usd"], rows[3]["seconds"]) == ("0.25", "")
        whole = (await ann.get(f"/api/v1/runs/{run.short}/export.json")).json()
        assert (whole["run"]["run"], len(whole["targets"])) == (run.short, 4)
    taken = await site.rows("SELECT who, place FROM audit_event WHERE kind = 'run.exported'")
    assert taken == [("Ann", run.short)] * 2


async def test_the_largest_run_is_taken_away_whole(site):
    run = await run_of(site, site.ann, ["skipped"])
    await site.rows(
        "INSERT INTO run_target (id, run_id, place, repository, state)"
        " SELECT gen_random_uuid(), :run, place, 'acme/' || place, 'skipped'"
        "   FROM generate_series(2, :most) AS place RETURNING id",
        run=run.id,
        most=TARGETS_MAX,
    )
    async with site.client() as ann:
        where = f"/api/v1/runs/{run.short}/export"
        rows = csv.DictReader(io.StringIO((await ann.get(f"{where}.csv")).text, newline=""))
        assert [int(row["place"]) for row in rows] == list(range(1, TARGETS_MAX + 1))
        assert len((await ann.get(f"{where}.json")).json()["targets"]) == TARGETS_MAX


async def test_the_command_line_writes_all_targets_as_they_are(site, ona, tmp_path):  # noqa: F811
    hostile = ["=cmd|' /C calc'!A0", 'a "quoted", b;=1', "line\n=2\r\nx", "\u6f22 \U0001f600"]
    run = await run_of(site, site.ann, ["failed"] * len(hostile))
    for place, words in enumerate(hostile, 1):
        await set_target(site, run, place, repository=words, why=words, report=words)
    file, elsewhere = tmp_path / "run.csv", tmp_path / "none" / "run.csv"
    assert (await ona("runs", "export", run.short, "-o", str(file))).code == 0
    read = list(csv.DictReader(io.StringIO(file.read_bytes().decode(), newline="")))
    shown = [f"'{hostile[0]}", *hostile[1:]]
    assert [[row["repository"], row["why"], row["report"]] for row in read] == [
        [words] * 3 for words in shown
    ]
    told = json.loads((await ona("runs", "export", run.short, "--format", "json")).out)
    assert [one["repository"] for one in told["targets"]] == hostile
    refused = await ona("runs", "export", run.short, "-o", str(elsewhere))
    assert refused.code == 2
    assert f"{elsewhere} can't be written" in refused.err


async def test_the_page_shows_a_run_and_acts_on_it_without_a_script(site):
    run = await fleet_of(site)
    async with site.client() as browser:
        csrf = await sign_in(site, browser)
        assert run.short in (await browser.get("/runs")).text
        page = (await browser.get(f"/runs/{run.short}")).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page
        assert 'href="https://github.com/acme/repo-1/pull/101"' in page
        assert f'href="/sessions/{run.sessions[1][1]}"' in page
        assert "1 done" in page
        only = (await browser.get(f"/runs/{run.short}", params={"state": "failed"})).text
        assert "acme/repo-2" in only
        assert "acme/repo-1<" not in only
        digest = re.search(r"seen=(\w+)", page)[1]
        same = {"seen": digest}
        assert (await browser.get(f"/runs/{run.short}/live", params=same)).status_code in {200, 204}
        await browser.post(f"/runs/{run.short}/stop", data={"csrf": csrf})
        await set_target(site, run, 3, state="stopped")
        assert "Ann stopped the run" in (await browser.get(f"/runs/{run.short}")).text
        wrong = await browser.post(f"/runs/{run.short}/rerun", data={"csrf": csrf, "which": "x"})
        assert wrong.status_code == 422
        await browser.post(f"/runs/{run.short}/rerun", data={"csrf": csrf, "which": "2"})
        assert await site.rows(
            "SELECT state FROM run_target WHERE run_id = :run AND place = 2", run=run.id
        ) == [("waiting",)]


async def test_a_page_that_shows_it_already_is_not_sent_again(site):
    run = await run_of(site, site.ann, ("done", "failed"))
    async with site.client() as browser:
        await sign_in(site, browser)
        page = (await browser.get(f"/runs/{run.short}")).text
        live = f"/runs/{run.short}/live"
        seen = {"seen": re.search(r"seen=(\w+)", page)[1]}
        assert (await browser.get(live, params=seen)).status_code == 204
        await set_target(site, run, 2, why="another reason")
        assert "Another reason" in (await browser.get(live, params=seen)).text


async def test_the_command_line_does_the_same(site, ona, tmp_path):  # noqa: F811
    empty = await ona("runs")
    assert (empty.code, "No run yet" in empty.err) == (0, True)
    run = await fleet_of(site)
    assert run.short in (await ona("runs")).out
    assert json.loads((await ona("runs", "list", "--json")).out)["runs"][0]["run"] == run.short
    shown = await ona("runs", "show", run.short)
    assert shown.code == 0
    assert "1 done, 1 running, 1 failed, 1 waiting" in shown.out
    assert "acme/repo-2" in shown.out
    only = await ona("runs", "show", run.short, "--state", "failed", "--json")
    assert [one["place"] for one in json.loads(only.out)["targets"]] == [2]
    assert "'=HYPERLINK" in (await ona("runs", "export", run.short)).out
    to = tmp_path / "run.json"
    await ona("runs", "export", run.short, "--format", "json", "-o", str(to))
    assert len(json.loads(to.read_text())["targets"]) == 4
    assert "Stopping" in (await ona("runs", "stop", run.short)).out
    await set_target(site, run, 3, state="stopped")
    assert "1 target" in (await ona("runs", "rerun", run.short, "#2")).out
    assert "2 targets" in (await ona("runs", "rerun", run.short)).out
    assert (await ona("runs", "show", "run-none")).code == 2


SECRET = "https://forge.test/acme/secret"


@pytest.fixture
async def guarded(database_url, tmp_path):
    """Bo may read the demo project and not the other one that a run works on."""
    forge = KnowingForge()
    async with running_site(database_url, tmp_path, forges={"forge": forge}) as site:
        await site.rows(
            "UPDATE project SET repository_url = 'https://forge.test/acme/demo' RETURNING id"
        )
        await site.rows(
            "INSERT INTO project (id, name, repository_url, agent)"
            " VALUES (:id, 'quiet', :url, 'shell') RETURNING id",
            id=new_id(),
            url=SECRET,
        )
        await site.rows(
            "INSERT INTO identity (id, person_id, surface, external_id, name)"
            " VALUES (:id, :bo, 'forge:forge.test', '2', 'bo') RETURNING id",
            id=new_id(),
            bo=site.bo,
        )
        forge.levels = {("acme/demo", "2"): Permission.READ}
        yield site
    await forge.close()


async def test_targets_that_one_may_not_read_are_counted_and_not_named(guarded):
    site = guarded
    run = await run_of(site, site.ann, ("failed", "failed", "failed"))
    await set_target(site, run, 1, repository="acme/the-quiet-heron")
    await site.rows(
        "UPDATE run_target SET project_id = (SELECT id FROM project WHERE name = 'quiet')"
        " WHERE run_id = :run AND place = 1 RETURNING id",
        run=run.id,
    )
    await set_target(site, run, 3, project_id=None, repository="acme/found-by-search")
    async with site.client(await site.token_of(site.bo)) as bo:
        shown = (await bo.get(f"/api/v1/runs/{run.short}")).json()
        assert shown["counts"]["failed"] == 3
        found = (await bo.get(f"/api/v1/runs/{run.short}/targets")).json()
        assert ([one["place"] for one in found["targets"]], found["hidden"]) == ([2], 2)
        for path in ("export.json", "export.csv"):
            text = (await bo.get(f"/api/v1/runs/{run.short}/{path}")).text
            assert "heron" not in text
            assert "found-by-search" not in text
        assert (await bo.post(f"/api/v1/runs/{run.short}/rerun")).status_code == 403
    async with site.client() as ann:
        found = (await ann.get(f"/api/v1/runs/{run.short}/targets")).json()
        assert (len(found["targets"]), found["hidden"]) == (3, 0)


async def test_a_run_of_a_project_that_one_may_not_read_is_not_there(guarded):
    site = guarded
    run = await run_of(site, site.ann)
    await site.rows(
        "UPDATE run SET project_id = (SELECT id FROM project WHERE name = 'quiet') RETURNING id"
    )
    async with site.client(await site.token_of(site.bo)) as bo:
        assert (await bo.get("/api/v1/runs")).json()["runs"] == []
        for method, path in (
            ("GET", ""),
            ("GET", "/targets"),
            ("POST", "/stop"),
            ("POST", "/rerun"),
        ):
            answer = await bo.request(method, f"/api/v1/runs/{run.short}{path}")
            assert answer.status_code == 404, path
