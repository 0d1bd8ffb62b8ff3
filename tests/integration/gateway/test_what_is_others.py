"""What is others', tried with our routes while turns run: repositories, sessions, turns."""

import asyncio
import base64
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.work.routes import CodeHost, machine_environment
from tests.fakes import git_server
from tests.integration.gateway.test_forge_route import TOKEN, git, run
from tests.integration.gateway.test_project_routes import ASKED, STATE, begun, desk
from tests.support.gateway import LOOPBACK, get
from tests.support.shift import Shift, until

CHARGES = "SELECT count(*) FROM charge WHERE person_id = :who"
ASKED_BY_BO = 5
THEIRS = "attacker:their-own"
OWN, FOREIGN, EVIL = "acme/api", "acme/other", "attacker/other"


def basic(credentials: str) -> str:
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "forge"
    for name in (OWN, FOREIGN, EVIL):
        bare = root / f"{name}.git"
        bare.mkdir(parents=True)
        git("init", "-q", "--bare", "-b", "main", cwd=bare)
        git("config", "http.receivepack", "true", cwd=bare)
    return root


@pytest.fixture
def forge(root: Path) -> Iterator[str]:
    with git_server.serve(root, lambda given: given in {TOKEN, THEIRS}) as where:
        yield f"http://{where}"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    work = tmp_path / "work"
    work.mkdir()
    git("init", "-q", "-b", "main", cwd=work)
    git("commit", "-q", "--allow-empty", "-m", "one", cwd=work)
    return work


async def test_a_push_to_a_foreign_repository_is_refused_whatever_is_shown(
    town, places, work, forge, root
):
    """The forge would take it: what is refused is refused by the gateway."""
    host = CodeHost(surface="github", git_base=forge, api_base=forge)
    shown = ["-c", f"http.extraHeader=Authorization: {basic(THEIRS)}"]
    by_route, by_name = f"http://gateway.ona{host.prefix.rstrip('/')}", forge
    async with desk(town, work, forge=forge) as at, Shift(town, places, "w"):
        await begun(town)
        # All that could be granted, as if the token were one of the whole organisation.
        prefixes = [host.prefix, *(f"{host.prefix}{one}/" for one in (FOREIGN, EVIL))]
        added = {"Authorization": SecretStr(basic(TOKEN))}
        routes = [f"{one}{what}" for one in prefixes for what in ("", "push")]
        at.grants.put(at.session, "run", dict.fromkeys(routes, added))
        rewritten = machine_environment({}, [host])
        given = {**rewritten, "http_proxy": f"http://{LOOPBACK}:{at.at.proxy}"}
        branch = f"HEAD:refs/heads/ona/{await town.value('SELECT short FROM session')}"

        async def push(base: str, name: str, *before: str) -> str:
            words = [*before, "push", f"{base}/{name}.git", branch]
            done = await run(*words, cwd=work, **given)
            return done.stderr if done.returncode else ""

        assert await push(by_name, OWN) == "", "its own one it may push to by the same words"
        for base, name, before in product((by_route, by_name), (FOREIGN, EVIL), ([], shown)):
            assert "403" in await push(base, name, *before)
            assert f"{name} is none of this project's repositories" in at.at.denied()[-1]
        at.go.touch()
    for name in (FOREIGN, EVIL):
        bare = root / f"{name}.git"
        assert git("for-each-ref", cwd=bare).stdout == ""
        past = f"{forge.replace('//', f'//{THEIRS}@')}/{name}.git"
        assert git("push", past, branch, cwd=work).returncode == 0, "the forge would take it"


async def test_what_one_session_has_is_no_others_though_both_have_a_turn(
    town, places, work, forge, root
):
    host = CodeHost(surface="github", git_base=forge, api_base=forge)
    async with desk(town, work, forge=forge) as at, Shift(town, places, "w"):
        first = await town.value("SELECT short FROM session")
        await town.say(f"!until [ -e {at.go} ]; do sleep 0.05; done", place="u", by="Bo")
        await until(town, STATE, lambda rows: rows == [("running",)] * 2)
        other, second = (await town.rows("SELECT id, short FROM session ORDER BY created_at"))[1]
        added, push = {"Authorization": SecretStr(basic(TOKEN))}, f"{host.prefix}push"
        named = dict.fromkeys(("registry", "/identity/internal", push), added)
        at.grants.put(at.session, "run", named)
        asked = ("/upstream/registry/x", "/identity/token?audience=internal")
        mine = [await get(at.at.web, path, "gateway.ona") for path in asked]
        at.at.who = replace(at.at.who, session=other)
        at.at.gateway.identify(at.at.who)
        # It can only name the first session: who asks is known by where.
        claims = (f"X-Session: {at.session}", f"Authorization: {basic(first)}")
        theirs = [await get(at.at.web, path, "gateway.ona", *claims) for path in asked]
        at.grants.put(other, "run", {push: added})
        given = {
            **machine_environment({}, [host]),
            "http_proxy": f"http://{LOOPBACK}:{at.at.proxy}",
        }
        done = [
            await run("push", f"{forge}/{OWN}.git", f"HEAD:refs/heads/ona/{one}", cwd=work, **given)
            for one in (first, second)
        ]
        assert (await at.models()).startswith(b"HTTP/1.1 200")
        at.go.touch()
    assert [one.split()[1] for one in mine] == ["200", "200"]
    assert [one.split()[1] for one in theirs] == ["409", "409"]
    assert "[remote rejected]" in done[0].stderr
    assert "not one of this session" in " ".join(done[0].stderr.split())
    assert done[1].returncode == 0
    there = git("for-each-ref", "--format=%(refname)", cwd=root / f"{OWN}.git").stdout.split()
    assert there == [f"refs/heads/ona/{second}"]
    assert await town.rows("SELECT session_id, person_id FROM charge") == [
        (other, town.people["Bo"])
    ]


async def test_credentials_of_one_persons_turn_are_gone_between_turns_and_in_anothers(
    town, places, work
):
    async with desk(town, work) as at, Shift(town, places, "w"):

        async def asked() -> list[str]:
            answers = [await get(at.at.web, "/upstream/registry/x", "gateway.ona")]
            answers.append((await at.models()).decode())
            return [one.split()[1] for one in answers]

        await begun(town)
        at.grants.put(at.session, "anns", {"registry": {"Authorization": SecretStr("Bearer a")}})
        during = await asked()
        at.go.touch()
        await until(town, STATE, lambda rows: rows == [("succeeded",)])
        # Though what it was given were still there.
        between = await asked()
        at.grants.drop(at.session, "anns")
        at.go.unlink()
        await town.say(f"!until [ -e {at.go} ]; do sleep 0.05; done", by="Bo")
        await until(town, STATE, lambda rows: sorted(rows) == [("running",), ("succeeded",)])
        early = await get(at.at.web, "/upstream/registry/x", "gateway.ona")
        at.grants.put(at.session, "bos", {"registry": {"Authorization": SecretStr("Bearer b")}})
        in_bos = await asked()
        at.go.touch()
    assert (during, between, in_bos) == (["200", "200"], ["409", "409"], ["200", "200"])
    assert early.split()[1] == "409", "nothing of the turn before is there in this one"
    assert "This turn has no credentials now" in early
    registry = [one.lower() for one in at.heard.heads if "/npm/x" in one]
    assert ["bearer a" in one for one in registry] == [True, False]
    assert ["bearer b" in one for one in registry] == [False, True]
    paid = await town.rows("SELECT person_id FROM charge ORDER BY created_at")
    assert paid == [(town.people["Ann"],), (town.people["Bo"],)]


async def test_a_program_that_one_person_left_running_acts_in_no_turn_of_another(
    town, places, work, tmp_path
):
    """It asks a model again and again: in Ann's turn, after it, and once Bo's has begun."""
    said = tmp_path / "answers"
    body = "-H 'Host: gateway.ona' -H 'Expect:' -d '" + ASKED.decode() + "'"
    async with desk(town, work) as at, Shift(town, places, "w"):
        await begun(town)
        at.go.touch()
        await until(town, STATE, lambda rows: rows == [("succeeded",)])
        curl = f"curl -s -o /dev/null -w '%{{http_code}}\\n' {body}"
        asks = f"{curl} http://{LOOPBACK}:{at.at.web}/model/anthropic/v1/messages >> {said}"
        left = f"while :; do {asks}; sleep 0.05; done > /dev/null 2>&1 &"
        await town.say(f"!{left} until grep -q 200 {said}; do sleep 0.05; done", by="Ann")
        await until(town, STATE, lambda rows: rows == [("succeeded",)] * 2)
        await until(town, "SELECT 1", lambda _: "409" in said.read_text())
        paid = await town.value(CHARGES, who=town.people["Ann"])
        at.go.unlink()
        await town.say(f"!until [ -e {at.go} ]; do sleep 0.05; done", by="Bo")
        await until(town, STATE, lambda rows: ("running",) in rows)
        asked = said.read_text()
        for _ in range(ASKED_BY_BO):
            assert (await at.models()).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(0.1)
        assert said.read_text() == asked, "it is gone"
        at.go.touch()
        await until(town, STATE, lambda rows: rows == [("succeeded",)] * 3)
    assert asked.split()[-1] == "409"
    assert await town.value(CHARGES, who=town.people["Bo"]) == ASKED_BY_BO
    assert await town.value(CHARGES, who=town.people["Ann"]) == paid
