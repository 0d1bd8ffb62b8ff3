"""Pages and API show and do what the visitor's own account on the forge may."""

import re

import pytest

from adapters.forge.port import Permission
from bot.govern import rights
from bot.store.ids import new_id
from tests.integration.web.site import pool_of, running_site
from tests.integration.web.test_usage import charge

SECRET = "the-quiet-heron"
"""In the title of the session, in the name of the project and of its repository."""


@pytest.fixture
async def site(database_url, tmp_path, forge):
    """A site with everything about one project on the forge, of which Bo may do nothing."""
    async with running_site(database_url, tmp_path, forges={"forge": forge}) as site:
        await pool_of(site)
        await site.rows(
            "UPDATE project SET name = :name, repository_url = :url RETURNING id",
            name=SECRET,
            url=f"https://forge.test/acme/{SECRET}",
        )
        await site.rows(
            "INSERT INTO identity (id, person_id, surface, external_id, name)"
            " VALUES (:id, :bo, 'forge:forge.test', '2', 'bo') RETURNING id",
            id=new_id(),
            bo=site.bo,
        )
        yield site


async def paths(site, short):
    """Every path of pages and API, filled with what there is."""
    machine_id = await site.machine(short)
    (template_id,) = (await site.rows("SELECT id FROM template"))[0]
    (prompt_id,) = (await site.rows("SELECT id FROM prompt"))[0]
    values = {
        "short": short,
        "machine": machine_id,
        "template": template_id,
        "name": SECRET,
        "prompt": prompt_id,
        "number": 1,
        "question": new_id(),
        "picture": new_id(),
        "request_": "rest",
    }
    async with site.client() as client:
        app = (await client.get("/api/openapi.json")).json()
    found = [(method.upper(), path) for path, methods in app["paths"].items() for method in methods]
    found += [(method, path) for method, path in PAGES]
    return [
        (method, re.sub(r"\{(\w+)\}", lambda part: str(values.get(part[1], "x")), path))
        for method, path in found
    ]


PAGES = [
    ("GET", "/"),
    ("GET", "/sessions"),
    ("GET", "/setup"),
    ("GET", "/projects"),
    ("GET", "/machines"),
    ("GET", "/machines/list"),
    ("GET", "/pools"),
    ("GET", "/pools/list"),
    ("GET", "/pools/templates/{template}"),
    ("GET", "/sessions/{short}"),
    ("GET", "/sessions/{short}/side"),
    ("GET", "/sessions/{short}/earlier?before=5"),
    ("GET", "/sessions/{short}/live"),
    ("GET", "/sessions/{short}/changes"),
    ("GET", "/sessions/{short}/pictures/{picture}"),
    ("POST", "/sessions/{short}/prompts"),
    ("POST", "/sessions/{short}/stop"),
    ("POST", "/sessions/{short}/undo"),
    ("POST", "/sessions/{short}/title"),
    ("POST", "/sessions/{short}/resume"),
    ("POST", "/sessions/{short}/clear"),
    ("POST", "/sessions/{short}/delete"),
    ("POST", "/sessions/{short}/prompts/{prompt}/cancel"),
    ("POST", "/sessions/{short}/questions/{question}"),
    ("POST", "/machines/{machine}/rest"),
    ("POST", "/pools/{name}/rebuild"),
    ("POST", "/projects/{name}/remove"),
]


async def state(site):
    return await site.rows(
        "SELECT session.state, session.stop, prompt.state AS prompt, machine.request,"
        " project.rebuild_at, project.removed_at FROM session"
        " JOIN prompt ON prompt.session_id = session.id"
        " JOIN machine ON machine.session_id = session.id"
        " JOIN project ON project.id = session.project_id"
    )


async def test_who_may_not_read_sees_and_does_nothing_by_any_path(site):
    short = (await site.ask(f"!{SECRET}"))["session"]
    known = await paths(site, short)
    before = await state(site)
    async with site.client(await site.token_of(site.bo)) as bo:
        bo.headers["hx-request"] = "true"
        for method, path in known:
            body = {} if method == "GET" else {"json": {"text": "!x", "session": short}}
            answer = await bo.request(method, path, **body)
            said = answer.text.replace(path, "").replace(f"no project {SECRET}", "")
            assert SECRET not in said, (method, path)
            assert short not in said, (method, path)
            if short in path:
                assert answer.status_code in {400, 403, 404, 422}, (method, path)
    assert await state(site) == before


async def test_who_may_not_read_sets_no_reminder_in_a_session_that_they_know_of(site, forge):
    short = (await site.ask(f"!{SECRET}"))["session"]
    wanted = {"when": "every day at 9", "what": "what is open?", "session": short, "answer": True}
    async with site.client(await site.token_of(site.bo)) as bo:
        for tried in (True, False):
            refused = await bo.post("/api/v1/reminders", json={**wanted, "dry_run": tried})
            assert (refused.status_code, SECRET in refused.text) == (403, False), refused.text
        assert await site.rows("SELECT id FROM reminder") == []
        forge.levels[f"acme/{SECRET}", "2"] = Permission.READ
        await site.rows("DELETE FROM permission RETURNING level")
        assert (await bo.post("/api/v1/reminders", json=wanted)).status_code == 201


async def test_who_may_read_sees_and_changes_nothing(site, forge):
    short = (await site.ask(f"!{SECRET}"))["session"]
    known = await paths(site, short)
    forge.levels[f"acme/{SECRET}", "2"] = Permission.READ
    before = await state(site)
    async with site.client(await site.token_of(site.bo)) as bo:
        assert SECRET in (await bo.get("/")).text
        assert (await bo.get(f"/api/v1/sessions/{short}")).status_code == 200
        for method, path in known:
            if method != "GET" and (short in path or SECRET in path):
                answer = await bo.request(method, path, json={"text": "!x", "agent": "shell"})
                assert answer.status_code in {403, 422}, (method, path)
    assert await state(site) == before


async def test_who_may_write_does(site, forge):
    short = (await site.ask(f"!{SECRET}"))["session"]
    forge.levels[f"acme/{SECRET}", "2"] = Permission.WRITE
    async with site.client(await site.token_of(site.bo)) as bo:
        asked = await bo.post("/api/v1/prompts", json={"text": "!two", "session": short})
        assert asked.status_code == 202
        assert (await bo.post(f"/api/v1/sessions/{short}/stop")).status_code in {200, 422}
    assert len(forge.asked) == 1


async def test_a_repository_that_somebody_may_not_write_becomes_no_project_of_theirs(site, forge):
    new = {"name": "mine", "repository_url": "https://forge.test/acme/other"}
    async with site.client(await site.token_of(site.bo)) as bo:
        refused = await bo.post("/api/v1/projects", json=new)
        assert refused.status_code in {403, 422}
        assert (await site.rows("SELECT count(*) FROM project"))[0][0] == 1
        forge.levels["acme/other", "2"] = Permission.WRITE
        await site.rows(
            "UPDATE permission SET asked_at = now() - make_interval(secs => :s) RETURNING level",
            s=rights.FRESH_SECONDS + 1,
        )
        assert (await bo.post("/api/v1/projects", json=new)).status_code == 201


def test_every_page_is_among_those_tried():
    from bot.web.pages import home, machines, pools, projects, session, setup

    mounted = {
        (method, route.path)
        for module in (home, machines, pools, projects, session, setup)
        for route in module.router.routes
        for method in route.methods
    }
    tried = {
        (method, path.partition("?")[0].replace("/rest", "/{request_}")) for method, path in PAGES
    }
    assert mounted - tried == {("POST", "/sessions"), ("POST", "/projects")}


async def test_a_private_session_is_seen_by_its_person_alone(site, forge):
    forge.levels[f"acme/{SECRET}", "2"] = Permission.WRITE
    async with site.client(await site.token_of(site.bo)) as bo:
        words = {"text": "private: !the-quiet-heron"}
        short = (await bo.post("/api/v1/prompts", json=words)).json()["session"]
        known = await paths(site, short)
        assert short in (await bo.get("/api/v1/sessions")).text
        assert (await bo.get(f"/sessions/{short}")).status_code == 200
    async with site.client() as operator:
        operator.headers["hx-request"] = "true"
        for method, path in known:
            if method == "GET" or short in path:
                answer = await operator.request(method, path, json={"text": "!x"})
                said = answer.text.replace(path, "").replace(f"no session {short}", "")
                assert short not in said, (method, path)


async def test_a_narrow_session_is_seen_by_who_may_write_alone(site, forge):
    short = (await site.ask("!burglary"))["session"]
    await site.rows("UPDATE session SET narrow = true RETURNING id")
    known = await paths(site, short)
    forge.levels[f"acme/{SECRET}", "2"] = Permission.READ
    before = await state(site)
    async with site.client(await site.token_of(site.bo)) as bo:
        bo.headers["hx-request"] = "true"
        for method, path in known:
            if method == "GET" or short in path:
                answer = await bo.request(method, path, json={"text": "!x", "session": short})
                said = answer.text.replace(path, "")
                assert short not in said, (method, path)
                assert "burglary" not in said, (method, path)
        asked = {"text": "status", "session": short}
        assert "burglary" not in (await bo.post("/api/v1/prompts", json=asked)).text
        assert "burglary" not in (await bo.post("/api/v1/prompts", json={"text": "sessions"})).text
    assert await state(site) == before
    forge.levels[f"acme/{SECRET}", "2"] = Permission.WRITE
    await site.rows("DELETE FROM permission RETURNING level")
    async with site.client(await site.token_of(site.bo)) as bo:
        for path in ("/", f"/sessions/{short}", f"/api/v1/sessions/{short}/events"):
            assert "burglary" in (await bo.get(path)).text
    async with site.client() as operator:
        assert "burglary" in (await operator.get("/api/v1/sessions")).text


async def test_usage_names_a_narrow_session_to_who_may_write_alone(site, forge):
    short = (await site.ask("!burglary"))["session"]
    await site.rows("UPDATE session SET narrow = true RETURNING id")
    await site.rows("UPDATE project SET name = 'demo' RETURNING id")
    await charge(site, short, site.ann, 30)
    async with site.client(await site.token_of(site.bo)) as bo:
        for level, told in ((Permission.READ, False), (Permission.WRITE, True)):
            forge.levels[f"acme/{SECRET}", "2"] = level
            await site.rows("DELETE FROM permission RETURNING level")
            for by in ("session", "turn"):
                found = (await bo.get("/api/v1/usage", params={"by": by})).json()
                assert found["cost_usd"] == pytest.approx(0.30)
                assert (short in str(found["usage"])) is told
            assert (await bo.get("/api/v1/usage", params={"session": short})).is_success is told
