"""Policies and the audit over pages, API and command line."""

import json
import re
from html import unescape

import pytest
from sqlalchemy import text

from bot.govern.audit import Audited, Source, record
from bot.govern.sealing import Sealer
from tests.integration.web.site import sign_in
from tests.integration.web.test_cli import ona  # noqa: F401 - a fixture
from vmpool.network.policy import Policy, read_rule

POLICY = '[egress]\nallow = ["api.example.com"]\ndeny = ["bad.example.com"]\n'


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "demo.toml"
    path.write_text(POLICY)
    return path


async def seal(site):
    sealer, more = Sealer(), True
    while more:
        async with site.database.begin() as tx:
            if (final := await sealer.final(tx)) is not None:  # PostgreSQL may work by itself
                more = await sealer.seal(tx, final)


async def kinds(site):
    return [kind for (kind,) in await site.rows("SELECT kind FROM audit_event ORDER BY number")]


async def test_a_policy_is_set_shown_and_tested_from_the_terminal(site, ona, file):  # noqa: F811
    denied = await ona("policy", "test", "demo", "https://api.example.com")
    assert denied.code == 1
    assert "would allow it" in denied.out
    assert "Version 1" in (await ona("policy", "set", "demo", str(file))).out
    assert (await ona("policy", "show", "demo")).out == POLICY
    allowed = await ona("policy", "test", "demo", "https://api.example.com/x?y")
    assert allowed.code == 0
    assert "Allowed: api.example.com:443 is allowed by" in allowed.out
    assert "policy of project demo, version 1, line 2" in allowed.out
    told = json.loads((await ona("policy", "test", "demo", "bad.example.com", "--json")).out)
    assert (told["allowed"], told["version"]) == (False, 1)
    assert told["source"] == "policy of project demo, version 1, line 3"
    file.write_text(POLICY.replace("bad.", "worse."))
    assert json.loads((await ona("policy", "set", "demo", str(file), "--json")).out) == {
        "project": "demo",
        "version": 2,
    }
    listed = (await ona("policy", "history", "demo")).out.splitlines()
    assert [line.split()[0] for line in listed] == ["VERSION", "2", "1"]
    assert (await ona("policy", "show", "demo", "--version", "1")).out == POLICY
    assert json.loads((await ona("policy", "--json")).out) == {"lines": []}


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('[egress]\nallow = ["a..b"]', "demo.toml, line 2: egress.allow, entry 1 is 'a..b'"),
        ("[egres]", "demo.toml, line 1: egres: there is no such key"),
        ("[[", "demo.toml: it is no TOML"),
    ],
)
async def test_a_wrong_policy_is_refused_with_its_line(ona, file, written, said):  # noqa: F811
    file.write_text(written)
    refused = await ona("policy", "set", "demo", str(file))
    assert (refused.code, refused.out) == (2, "")
    assert said.lower() in refused.err.lower()
    assert (await ona("policy", "history", "demo")).out == ""


async def test_a_policy_is_set_seen_and_tried_on_its_page(site):
    async with site.client() as browser:
        csrf = await sign_in(site, browser)

        async def put(source):
            form = {"csrf": csrf, "source": source}
            return await browser.post("/projects/demo/policy", data=form)

        assert 'href="/projects/demo/policy"' in (await browser.get("/projects")).text
        assert "It has none" in (await browser.get("/projects/demo/policy")).text
        wrong = await put("# mine & yours\r\n[egress]\r\nallow = 1")
        assert wrong.status_code == 422
        assert "policy.toml, line 3: egress.allow should be" in unescape(wrong.text)
        assert "# mine &amp; yours" in wrong.text, "what was typed is kept"
        assert await kinds(site) == ["person.signed_in"]
        done = await put(POLICY.replace("\n", "\r\n"))
        assert done.status_code == 303
        assert await site.rows("SELECT source FROM policy_version") == [(POLICY,)]
        await put(f"# <script>\n{POLICY}")
        shown = (await browser.get("/projects/demo/policy")).text
        assert "Version 2</span>" in shown
        assert "by Ann" in shown
        assert "<script>" not in shown.split("<main", 1)[1]
        older = (await browser.get("/projects/demo/policy?version=1")).text
        assert "Version 1, which counts no more" in older
        assert (await browser.get("/projects/demo/policy?version=9")).status_code == 404
        asked = {"url": "https://bad.example.com/x"}
        denied = unescape((await browser.get("/projects/demo/policy", params=asked)).text)
        assert "Denied: bad.example.com:443 is denied by" in denied
        assert "policy of project demo, version 2, line 4" in denied
        odd = await browser.get("/projects/demo/policy", params={"url": "tcp://x"})
        assert odd.status_code == 422
        assert "needs a port" in odd.text
        assert (await browser.get("/projects/none/policy")).status_code == 404
    assert await kinds(site) == ["person.signed_in", "policy.set", "policy.set"]


async def test_a_line_of_the_installation_is_shown_as_it_is_written(site):
    rule = read_rule("mirror.example.com", allow=True, source="ona.toml, line 4")
    object.__setattr__(site.services, "policy", Policy(rules=(rule,)))
    async with site.client() as browser:
        await sign_in(site, browser)
        page = (await browser.get("/projects/demo/policy")).text
    assert re.search(r">allow\s+mirror\.example\.com<", page)
    assert len(re.findall(r"\ballow\b", page.split("installation-title", 2)[2])) == 1


async def test_who_may_not_set_a_policy_sees_it_on_its_page(site):
    async with site.client() as ann:
        await ann.put("/api/v1/projects/demo/policy", json={"source": POLICY})
    refusals = []
    object.__setattr__(site.services, "audited", refusals.append)
    async with site.client() as browser:
        csrf = await sign_in(site, browser, site.bo)
        page = (await browser.get("/projects/demo/policy")).text
        assert "api.example.com" in page
        assert "<textarea" not in page
        form = {"csrf": csrf, "source": ""}
        refused = await browser.post("/projects/demo/policy", data=form)
        assert refused.status_code == 422
    assert await kinds(site) == ["policy.set", "person.signed_in"]
    assert [one.place for one in refusals] == ["POST /projects/demo/policy"]


async def test_what_can_not_be_found_has_its_exit_code(ona, file, tmp_path):  # noqa: F811
    for arguments in (
        ("policy", "set", "none", str(file)),
        ("policy", "set", "demo", str(tmp_path / "none")),
        ("policy", "test", "demo", "tcp://x"),
        ("policy", "test", "demo", "not a host"),
        ("policy", "test", "demo", "http://-x/"),
        ("policy", "show", "demo", "--version", "7"),
        ("audit", "list", "--since", "soon"),
        ("audit", "list", "--person", "Nobody"),
        ("audit", "list", "--project", "nowhere"),
    ):
        ran = await ona(*arguments)
        assert (ran.code, ran.out) == (2, ""), arguments


async def test_only_operators_set_policies_and_read_the_audit(site):
    refusals = []
    object.__setattr__(site.services, "audited", refusals.append)
    async with site.client(await site.token_of(site.bo)) as bo:
        put = await bo.put("/api/v1/projects/demo/policy", json={"source": POLICY})
        assert put.status_code == 422
        for path in ("", "/export", "/head", "/verify"):
            assert (await bo.get(f"/api/v1/audit{path}")).status_code == 422
        assert (await bo.get("/api/v1/projects/demo/policy")).status_code == 200
    assert await kinds(site) == []
    assert [(one.by.who, one.place, one.outcome) for one in refusals][:2] == [
        ("Bo", "PUT /api/v1/projects/demo/policy", "refused"),
        ("Bo", "GET /api/v1/audit", "refused"),
    ]


async def test_what_people_do_is_audited_with_who_what_and_where(site, ona, tmp_path):  # noqa: F811
    (tmp_path / "web").mkdir()
    await ona("projects", "add", "web", "./web")
    await ona("projects", "change", "web", "--branch", "next")
    await ona("projects", "remove", "web")
    await ona("people", "add", "Cy")
    await ona("people", "deactivate", "Cy")
    await ona("tokens", "add", "ci")
    token = json.loads((await ona("tokens", "list", "--json")).out)["tokens"][1]["id"]
    await ona("tokens", "revoke", token)
    async with site.client() as browser:
        link = {"link": await site.link()}
        await browser.post("/sign-in", data=link, headers={"Origin": site.url})
    rows = await site.rows("SELECT kind, who, surface, place FROM audit_event ORDER BY number")
    assert rows == [
        ("project.added", "Ann", "api", "web"),
        ("project.changed", "Ann", "api", "web"),
        ("project.removed", "Ann", "api", "web"),
        ("person.added", "Ann", "api", "Cy"),
        ("link.made", "Ann", "api", "Cy"),
        ("person.deactivated", "Ann", "api", "Cy"),
        ("token.made", "Ann", "api", "ci"),
        ("token.revoked", "Ann", "api", "ci"),
        ("person.signed_in", "Ann", "web", "link"),
    ]


async def test_the_list_joins_what_sessions_record_and_filters(site, ona):  # noqa: F811
    short = (await site.ask("!make"))["session"]
    work = await site.begin()
    await work.output("noise\n")
    await work.ask("Which?", "a", "b")
    await ona("tokens", "add", "ci")
    listed = json.loads((await ona("audit", "list", "--json")).out)["events"]
    found = [(one["kind"], one["who"], one["session"]) for one in listed]
    assert found[0] == ("token.made", "Ann", None)
    assert ("prompt.queued", "Ann", short) in found
    assert ("question", "", short) in found
    assert "output" not in {kind for kind, *_ in found}
    of_session = json.loads((await ona("audit", "list", "--session", short, "--json")).out)
    assert {one["session"] for one in of_session["events"]} == {short}
    assert of_session["events"][-1]["body"]["text"] == "make"
    by_bo = json.loads((await ona("audit", "list", "--person", "Bo", "--json")).out)
    assert by_bo["events"] == []
    kind = json.loads((await ona("audit", "list", "--kind", "token", "--json")).out)
    assert [one["kind"] for one in kind["events"]] == ["token.made"]
    table = (await ona("audit")).out.splitlines()
    assert table[0].split() == ["AT", "WHAT", "WHO", "FROM", "WHERE", "SESSION", "OUTCOME"]


async def test_the_page_shows_the_audit_in_pieces_that_stay_the_same(site):
    async with site.database.begin() as tx:
        for number in range(70):
            await record(tx, Audited(kind="egress", by=Source(who="gateway"), place=f"p{number}."))
    async with site.client() as browser:
        await sign_in(site, browser)
        first = unescape((await browser.get("/audit?kind=egress")).text)
        older = re.search(r'rel="next" href="([^"]+)"', first)[1]
        async with site.database.begin() as tx:
            await record(tx, Audited(kind="egress", by=Source(who="gateway"), place="new."))
        second = unescape((await browser.get(older)).text)
    places = re.findall(r">(p\d+|new)\.<", first), re.findall(r">(p\d+|new)\.<", second)
    assert [len(one) for one in places] == [50, 20]
    assert set(places[0]) | set(places[1]) == {f"p{number}" for number in range(70)}
    assert 'rel="next"' not in second
    assert 'rel="prev"' in second


async def test_an_export_is_json_lines_and_is_audited_itself(site, ona):  # noqa: F811
    short = (await site.ask("!make"))["session"]
    await ona("tokens", "add", "ci")
    lines = (await ona("audit", "export", "--since", "1h")).out.splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["kind"] for row in rows] == ["prompt.queued", "token.made", "audit.exported"]
    assert rows == sorted(rows, key=lambda row: row["at"])
    assert rows[0]["session"] == short
    assert "since" in rows[2]["body"]
    only = (await ona("audit", "export", "--project", "demo")).out.splitlines()
    assert [json.loads(line)["kind"] for line in only] == ["prompt.queued"]


async def test_of_a_private_session_others_see_that_something_happened(site, ona):  # noqa: F811
    short = (await site.ask("!quiet-heron"))["session"]
    (session_id,) = (
        await site.rows(
            "UPDATE session SET private_to = :bo, title = '' WHERE short = :short RETURNING id",
            bo=site.bo,
            short=short,
        )
    )[0]
    async with site.database.begin() as tx:
        by = Source(who="gateway", surface="gateway")
        reached = Audited(kind="egress", by=by, place="x.example.com:443", session_id=session_id)
        await record(tx, reached)
    for said in (await ona("audit", "list", "--json"), await ona("audit", "export")):
        assert short not in said.out
        assert "quiet-heron" not in said.out
        assert '"private": true' in said.out
        assert "prompt.queued" in said.out
        assert "x.example.com:443" in said.out
    assert (await ona("audit", "list", "--session", short)).out == ""


async def test_the_chain_is_verified_from_the_terminal(site, ona):  # noqa: F811
    await site.ask("!make")
    await ona("tokens", "add", "ci")
    await seal(site)
    whole = await ona("audit", "verify")
    assert whole.code == 0
    assert whole.out.startswith("Whole: ")
    kept = (await ona("audit", "head")).out.strip()
    assert kept in whole.out
    await ona("tokens", "add", "more")
    assert "wait to be sealed" in (await ona("audit", "verify", "--head", kept)).out
    await seal(site)
    assert (await ona("audit", "verify", "--head", kept)).code == 0
    async with site.database.begin() as tx:
        await tx.execute(text("SET LOCAL session_replication_role = replica"))
        await tx.execute(text("UPDATE audit_event SET who = 'Bo' WHERE kind = 'token.made'"))
    broken = await ona("audit", "verify")
    assert broken.code == 1
    assert "audit event 1 was changed" in broken.out
    told = json.loads((await ona("audit", "verify", "--json")).out)
    assert "audit event 1 was changed" in told["problem"]
    wrong = await ona("audit", "verify", "--head", "1:abc")
    assert (wrong.code, wrong.out) == (2, "")


async def test_the_audit_s_page_shows_what_happened_and_leads_to_all_of_it(site):
    async with site.client() as ann:
        posted = await ann.post("/api/v1/prompts", json={"text": "fix <b>it</b>", "thread": "t"})
        short = posted.json()["session"]
        async with site.database.begin() as tx:
            refused = {"where": "<script>", "long": "x" * 1000}
            await record(
                tx,
                Audited(
                    kind="access.refused", by=Source(who="Bo"), outcome="refused", body=refused
                ),
            )
    async with site.client() as browser:
        await sign_in(site, browser)
        shown = (await browser.get("/audit")).text
        assert "prompt.queued" in shown
        assert f'href="/sessions/{short}"' in shown
        assert '<span class="tag">refused</span>' in shown
        assert "<script>" not in shown.split("<main", 1)[1]
        assert "x" * 301 not in shown
        assert 'href="/audit"' in shown
        only = (await browser.get(f"/audit?kind=prompt&session={short}&days=7")).text
        assert "prompt.queued" in only
        assert "access.refused" not in only
        export = unescape(only.split('href="/api/v1/audit/export', 1)[1].split('"', 1)[0])
        lines = (await browser.get(f"/api/v1/audit/export{export}")).text.splitlines()
        assert [json.loads(line)["kind"] for line in lines] == ["prompt.queued"]
        assert "Nothing of that happened" in (await browser.get("/audit?kind=none")).text
        assert (await browser.get("/audit?person=Nobody")).status_code == 404
        assert (await browser.get("/audit?days=0")).status_code == 422
