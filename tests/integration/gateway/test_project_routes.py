"""The routes of a project: only while a turn runs, with its grants, paid from its budgets."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from pydantic import SecretStr

from bot.config import BudgetSettings, ModelSettings, Settings
from bot.govern.policy_text import Delivery, Document
from bot.govern.policy_text import Route as DeclaredRoute
from bot.govern.spending import SQL, Spending
from bot.govern.turn_grants import Behind, TurnGrants
from bot.store.ids import new_id
from bot.store.transaction import driver_text
from bot.work import questions
from bot.work.agent_previews import make_preview
from bot.work.branches import BranchRows, OwnBranches, is_of
from bot.work.metering import Metering, limits_of
from bot.work.own_host import own_grants
from bot.work.routes import CodeHost, Routes, Working, machine_environment, path_of
from bot.work.running import Running
from tests.integration.conftest import DEMO, Town
from tests.support.gateway import LOOPBACK, Heard, Rig, get, rig, serving, talk
from tests.support.shift import Shift, until
from vmpool.network.forge.pushing import ZERO
from vmpool.network.gateway import model_route

ANSWER = json.dumps({"type": "message", "usage": {"input_tokens": 1_000, "output_tokens": 500}})
ASKED = json.dumps({"model": "claude-sonnet-4-5", "max_tokens": 1_000}).encode()
TOOL = Path(__file__).parents[3] / "vmpool" / "guest" / "identity.py"
LONG = f"bearer {'r' * 4_000}"
RUNNING = "SELECT count(*) FROM turn WHERE state = 'running'"


def request(path: str, body: bytes = b"", method: str = "POST") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: gateway.ona\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@dataclass
class Desk:
    """A session whose machine is at a gateway."""

    at: Rig
    town: Town
    grants: TurnGrants
    metering: Metering
    heard: Heard
    go: Path
    session: UUID
    used: list[tuple[UUID | None, str, str]]
    """Of the machine's session, the route, and the grant's name."""

    async def models(self) -> bytes:
        return await talk(self.at.web, request("/model/anthropic/v1/messages", ASKED))


@asynccontextmanager
async def desk(
    town: Town,
    tmp_path: Path,
    *,
    key: str | None = "sk-ours",
    delivery: Delivery | None = None,
    forge: str = "",
    **limits: float,
) -> AsyncIterator[Desk]:
    """A turn that runs until `go` is there, and the gateway beside it.

    :param forge: a git server, below which the project's repositories are
    """
    heard, grants = Heard(), TurnGrants()
    used: list[tuple[UUID | None, str, str]] = []
    reply = f"HTTP/1.1 200 OK\r\ncontent-length: {len(ANSWER)}\r\n\r\n{ANSWER}".encode()
    async with rig() as at, serving(heard.server(reply)) as port:
        base = f"http://{LOOPBACK}:{port}"
        git_base = forge or f"{base}/git"
        models = {
            "anthropic": ModelSettings(
                format="anthropic", url=base, key=None if key is None else SecretStr(key)
            )
        }
        running = Running(town.database)
        spending = Spending(town.database, limits_of(BudgetSettings(**limits)))
        metering = Metering(town.database, spending, models)
        host = CodeHost(surface="github", git_base=git_base, api_base=f"{base}/api")
        routes = Routes(
            running=running,
            meter=metering,
            branches=BranchRows(town.database),
            models=models,
            code_hosts=[host],
            grants=grants,
            preview=partial(make_preview, Settings(port=8484), town.database),
            used=lambda who, route, grant: used.append((who.session, route, grant.name)),
        )
        document = Document(
            routes={"registry": DeclaredRoute(url=f"{base}/npm")}, delivery=delivery or Delivery()
        )
        at.zone.hosts[LOOPBACK] = [LOOPBACK]
        go = tmp_path / "go"
        await town.say(f"!until [ -e {go} ]; do sleep 0.05; done")
        session = await town.value("SELECT id FROM session")
        at.who = replace(at.who, session=session, project=DEMO)
        at.gateway.identify(at.who)
        at.routes = routes.of(
            Working(
                id=DEMO,
                repositories=[f"{git_base}/acme/api.git", f"{git_base}/Acme/lib.git"],
                document=document,
            )
        )
        yield Desk(
            at=at,
            town=town,
            grants=grants,
            metering=metering,
            heard=heard,
            go=go,
            session=session,
            used=used,
        )


async def begun(town: Town) -> None:
    await until(town, RUNNING, lambda rows: rows[0][0] == 1)


async def test_a_model_answers_while_a_turn_runs_and_is_paid_by_it(town, places, tmp_path):
    async with desk(town, tmp_path) as at:
        assert (await at.models()).startswith(b"HTTP/1.1 409")
        async with Shift(town, places, "w"):
            await begun(town)
            assert ANSWER.encode() in await at.models()
            at.go.touch()
            await until(town, "SELECT state FROM turn", lambda rows: rows[0][0] == "succeeded")
        assert (await at.models()).startswith(b"HTTP/1.1 409")
    assert [head.lower().count("x-api-key: sk-ours") for head in at.heard.heads] == [1]
    ((model, state, cost),) = await town.rows("SELECT model, state, cost_micro FROM charge")
    assert (model, state) == ("claude-sonnet-4-5", "settled")
    assert cost == 1_000 * 3 + 500 * 15
    spent = await town.rows("SELECT kind, spent_micro, reserved_micro FROM budget ORDER BY kind")
    assert spent == [(kind, cost, 0) for kind in ("person", "project", "session")]


async def test_a_machine_that_a_template_is_made_of_is_given_no_grant_on_any_route(
    town, places, tmp_path
):
    async with desk(town, tmp_path) as at, Shift(town, places, "w"):
        await begun(town)
        basic = {"Authorization": SecretStr("Basic r")}
        # What a turn of the same project may use in this moment.
        granted = ("registry", "/forge/github/", "/forge/github/push", "/identity/internal")
        at.grants.put(at.session, "run", dict.fromkeys(granted, basic))
        at.at.who = replace(at.at.who, session=None)
        at.at.gateway.identify(at.at.who)
        refs = "/forge/github/acme/api.git/info/refs?service="
        answers = [
            (await at.models()).decode(),
            *[
                await get(at.at.web, path, "gateway.ona")
                for path in (
                    "/upstream/registry/left-pad",
                    f"{refs}git-upload-pack",
                    f"{refs}git-receive-pack",
                    "/identity/token?audience=internal",
                )
            ],
        ]
        at.go.touch()
    assert [answer.split()[1] for answer in answers] == ["409"] * 5
    assert all("works for nobody yet" in answer for answer in answers)
    assert at.heard.heads == []


async def test_while_a_template_is_made_of_a_machine_it_has_what_builds_are_granted(
    town, places, tmp_path
):
    async with desk(town, tmp_path) as at:
        at.at.who = replace(at.at.who, session=None)
        at.at.gateway.identify(at.at.who)
        added = {"Authorization": SecretStr("Basic r")}
        granted = ("registry", "/forge/github/", "/forge/github/push", "/identity/internal")
        at.grants.put(at.at.who.machine, "build", dict.fromkeys(granted, added))
        refs = "/forge/github/acme/api.git/info/refs?service="

        async def status(path: str) -> str:
            return (await get(at.at.web, path, "gateway.ona")).split()[1]

        assert await status("/upstream/registry/left-pad") == "200"
        assert await status(f"{refs}git-upload-pack") == "200"
        assert await status(f"{refs}git-receive-pack") == "409", "nobody asked for a push"
        assert await status("/identity/token?audience=internal") == "409", "it would stay there"
        assert (await at.models()).startswith(b"HTTP/1.1 409")
        at.grants.put(at.at.who.machine, "build", {})
        answer = await get(at.at.web, "/upstream/registry/left-pad", "gateway.ona")
        assert answer.split()[1] == "403"
        assert "builds = true" in answer
    assert [head.lower().count("authorization: basic r") for head in at.heard.heads] == [1, 1]


QUESTION = "SELECT state, text, answer FROM question ORDER BY created_at"
ENDED = "SELECT body ->> 'summary' FROM turn_event WHERE kind = 'turn.ended'"
STATE = "SELECT state FROM turn"


async def asked(town: Town, count: int = 1) -> list[tuple]:
    """The questions, once there are so many and the session waits."""
    await until(town, QUESTION, lambda rows: len(rows) == count and rows[-1][0] == "open")
    assert await town.value("SELECT state FROM session") == "waiting"
    return await town.rows(QUESTION)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(model_route, "HELD_LOOK_SECONDS", 0.02)


async def test_a_turn_pauses_at_its_sessions_budget_and_goes_on_with_more(
    town, places, tmp_path, impatient
):
    async with desk(town, tmp_path, session_usd=0.02) as at, Shift(town, places, "w"):
        await begun(town)
        first = await at.models()
        waiting = asyncio.ensure_future(at.models())
        ((_, text, _),) = await asked(town)
        assert text.startswith("Used 0.01 of 0.02 USD, and the next request")
        assert "Continue with 0.02 more?" in text
        await asyncio.sleep(0.2)
        assert not waiting.done()
        told = await town.say("continue")
        assert told.verdict == "answer"
        second = await waiting
        at.go.touch()
        await until(town, STATE, lambda rows: rows[0][0] == "succeeded")
    assert ANSWER.encode() in first
    assert ANSWER.encode() in second
    assert await town.rows("SELECT extra_micro FROM budget WHERE kind = 'session'") == [(20_000,)]
    assert await town.rows("SELECT 1 FROM budget_refusal") == []
    cost = await town.value(
        "SELECT body ->> 'cost_micro' FROM turn_event WHERE kind = 'turn.ended'"
    )
    assert int(cost) == 2 * (1_000 * 3 + 500 * 15)


async def test_whoever_says_stop_ends_the_turn_at_its_budget(town, places, tmp_path, impatient):
    async with desk(town, tmp_path, session_usd=0.001) as at, Shift(town, places, "w"):
        await begun(town)
        waiting = asyncio.ensure_future(at.models())
        await asked(town)
        await town.say("2")
        await until(town, STATE, lambda rows: rows[0][0] == "budget")
        answer = await waiting
    assert answer.startswith(b"HTTP/1.1 409")
    assert at.heard.heads == []
    summary = await town.value(ENDED)
    assert "0.00 of 0.0010 USD are used" in summary
    assert "what was done is kept" in summary


async def test_nobody_who_answers_in_time_ends_it_as_well(town, places, tmp_path, impatient):
    async with (
        desk(town, tmp_path, session_usd=0.001) as at,
        Shift(town, places, "w", question_seconds=0.2),
    ):
        await begun(town)
        waiting = asyncio.ensure_future(at.models())
        await until(town, QUESTION, lambda rows: len(rows) == 1)
        await asyncio.sleep(0.3)
        async with town.database.begin() as tx:
            assert await questions.expire(tx) == 1
        await until(town, STATE, lambda rows: rows[0][0] == "budget")
        await waiting
    assert at.heard.heads == []


async def test_a_question_about_money_outlives_the_process_that_asked(
    town, places, tmp_path, impatient
):
    async with desk(town, tmp_path, session_usd=0.001) as at:
        async with Shift(town, places, "first"):
            await begun(town)
            waiting = asyncio.ensure_future(at.models())
            await asked(town)
        await town.say("1")
        async with Shift(town, places, "second"):
            assert ANSWER.encode() in await waiting
            at.go.touch()
            await until(town, STATE, lambda rows: rows[0][0] == "succeeded")
    assert len(await town.rows(QUESTION)) == 1


async def test_what_waits_is_not_paid_by_the_next_turn(town, places, tmp_path, impatient):
    async with desk(town, tmp_path, session_usd=0.001) as at, Shift(town, places, "w"):
        await begun(town)
        waiting = asyncio.ensure_future(at.models())
        await asked(town)
        await town.say(f"!until [ -e {at.go} ]; do sleep 0.05; done")
        await town.say("2")
        two = "SELECT state FROM turn ORDER BY started_at"
        await until(town, two, lambda rows: rows == [("budget",), ("running",)])
        answer = await waiting
        at.go.touch()
        await until(town, two, lambda rows: rows[-1] == ("succeeded",))
    assert answer.startswith(b"HTTP/1.1 409")
    assert await town.rows("SELECT 1 FROM charge") == []


async def test_only_who_opened_the_session_is_asked_for_money(town, places, tmp_path, impatient):
    async with desk(town, tmp_path, session_usd=0.01) as at, Shift(town, places, "w"):
        await begun(town)
        waiting = asyncio.ensure_future(at.models())
        await asked(town)
        pressed = await town.say("1", by="Bo")
        assert pressed.verdict == "refused"
        assert "Only who opened this session" in pressed.text
        prompted = await town.say("and then this", by="Bo")
        assert prompted.verdict == "prompt"
        vague = await town.say("well", by="Ann")
        assert vague.verdict == "refused"
        assert "“Continue with 0.01 more”, “Stop”" in vague.text
        await town.say("2", by="Ann")
        await waiting
        at.go.touch()
    assert at.heard.heads == []


@pytest.mark.parametrize(
    ("limit", "words"),
    [("person_day_usd", "of the person who asked"), ("project_day_usd", "of the project")],
)
async def test_a_turn_that_no_budget_of_a_day_bears_ends_with_that(
    town, places, tmp_path, limit, words
):
    async with desk(town, tmp_path, **{limit: 0.001}) as at, Shift(town, places, "w"):
        await begun(town)
        answer = await at.models()
        at.go.touch()
        await until(town, STATE, lambda rows: rows[0][0] == "budget")
    assert answer.startswith(b"HTTP/1.1 400")
    assert words.encode() in answer
    assert at.heard.heads == []
    assert await town.rows(QUESTION) == []
    summary = await town.value(ENDED)
    assert "0.00 of 0.0010 USD are used" in summary
    assert "retry" in summary


async def test_requests_at_once_wait_for_each_other_and_nobody_is_asked(
    town, places, tmp_path, impatient
):
    async with desk(town, tmp_path, session_usd=0.05) as at, Shift(town, places, "w"):
        await begun(town)
        answers = await asyncio.gather(*(at.models() for _ in range(3)))
        at.go.touch()
        await until(town, STATE, lambda rows: rows[0][0] == "succeeded")
    assert all(ANSWER.encode() in one for one in answers)
    assert await town.rows(QUESTION) == []


async def test_without_a_key_in_the_settings_it_is_the_turns_grant(town, places, tmp_path):
    async with desk(town, tmp_path, key=None) as at, Shift(town, places, "w"):
        await begun(town)
        refused = await at.models()
        at.grants.put(at.session, "run", {"/model/anthropic/": {"x-api-key": SecretStr("sk-p")}})
        allowed = await at.models()
        at.go.touch()
    assert refused.startswith(b"HTTP/1.1 409")
    assert allowed.startswith(b"HTTP/1.1 200")
    assert "x-api-key: sk-p" in at.heard.heads[0].lower()


@pytest.mark.parametrize("key", ["sk-ours", None])
async def test_one_statement_says_whose_turn_runs_and_lets_it_pay(town, tmp_path, key, monkeypatch):
    execute, said = psycopg.AsyncConnection.execute, []

    async def noting(connection, query, *given, **more):
        said.extend(name for name, one in SQL.items() if driver_text(one) == query)
        return await execute(connection, query, *given, **more)

    async with desk(town, tmp_path, key=key) as at:
        queue = town.queue("w")
        lease = await queue.claim()
        assert lease is not None
        assert await queue.begin_turn(lease, None) is not None
        at.grants.put(at.session, "run", {"/model/anthropic/": {"x-api-key": SecretStr("sk-p")}})
        monkeypatch.setattr(psycopg.AsyncConnection, "execute", noting)
        assert ANSWER.encode() in await at.models()
    assert said == ["reserve", "settle", "book"]


async def test_an_upstream_of_the_policy_gets_the_grant_of_its_name(town, places, tmp_path):
    async with desk(town, tmp_path) as at, Shift(town, places, "w"):
        await begun(town)
        at.grants.put(at.session, "run", {"registry": {"Authorization": SecretStr(LONG)}})
        allowed = await get(at.at.web, "/upstream/registry/left-pad", "gateway.ona")
        image = await get(at.at.web, "/v2/registry/team/app/manifests/1", "gateway.ona")
        at.grants.put(at.session, "run", {})
        without = await get(at.at.web, "/upstream/registry/left-pad", "gateway.ona")
        at.go.touch()
    assert allowed.split()[1] == "200"
    assert at.heard.heads[0].startswith("GET /npm/left-pad ")
    assert f"authorization: {LONG}\r\n" in at.heard.heads[0].lower(), "of any length"
    assert image.split()[1] == "200"
    assert at.heard.heads[1].startswith("GET /npm/v2/team/app/manifests/1 ")
    assert "authorization: bearer r" in at.heard.heads[1].lower()
    assert without.split()[1] == "403"
    assert "has no grant for registry" in without


@pytest.mark.parametrize("why", ["policy", "private", "read-only"])
async def test_what_is_not_delivered_can_not_be_pushed_from_inside(town, places, tmp_path, why):
    both = {"Authorization": SecretStr("Basic w")}
    kept = Delivery(mode="none") if why == "policy" else None
    async with desk(town, tmp_path, delivery=kept) as at, Shift(town, places, "w"):
        await begun(town)
        if why == "private":
            await town.rows("UPDATE session SET private_to = creator_id RETURNING id")
        if why == "read-only":
            await town.rows("UPDATE prompt SET read_only = true RETURNING id")
        at.grants.put(at.session, "run", {"/forge/github/": both, "/forge/github/push": both})
        refs = "/forge/github/acme/api.git/info/refs?service="
        fetch = await get(at.at.web, f"{refs}git-upload-pack", "gateway.ona")
        push = await get(at.at.web, f"{refs}git-receive-pack", "gateway.ona")
        at.go.touch()
    assert [one.split()[1] for one in (fetch, push)] == ["200", "403"]
    said = {"policy": "policy keeps", "private": "private session", "read-only": "may only read"}
    assert said[why] in push


async def test_a_fetch_and_a_push_have_grants_of_their_own(town, places, tmp_path):
    at_read, at_push = "/forge/github/", "/forge/github/push"
    async with desk(town, tmp_path) as at, Shift(town, places, "w"):
        await begun(town)
        at.grants.put(
            at.session,
            "run",
            {at_read: {"Authorization": SecretStr("Basic r")}},
            {at_read: [Behind(id=new_id(), kind="gitlab", name="reads")]},
        )
        refs = f"{at_read}acme/api.git/info/refs?service="
        fetch = await get(at.at.web, f"{refs}git-upload-pack", "gateway.ona")
        push = await get(at.at.web, f"{refs}git-receive-pack", "gateway.ona")
        other = await get(
            at.at.web, f"{at_read}acme/other/info/refs?service=git-upload-pack", "gateway.ona"
        )
        at.grants.put(at.session, "run", {at_push: {"Authorization": SecretStr("Basic w")}})
        push_now = await get(at.at.web, f"{refs}git-receive-pack", "gateway.ona")
        at.go.touch()
    assert [one.split()[1] for one in (fetch, push, other, push_now)] == [
        "200",
        "403",
        "403",
        "200",
    ]
    assert ["basic r" in one.lower() for one in at.heard.heads] == [True, False]
    assert at.used == [(at.session, at_read, "reads")], "the one that was added, and no other"


async def test_ona_token_prints_the_sessions_token_for_one_audience(town, places, tmp_path):
    async def asks(audience: str) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-IS", str(TOOL), "--audience", audience),
            env={"ONA_GATEWAY": f"{LOOPBACK}:{at.at.web}"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return process.returncode or 0, out.decode().strip(), err.decode()

    async with desk(town, tmp_path) as at, Shift(town, places, "w"):
        await begun(town)
        token = {"Authorization": SecretStr("Bearer ey.J.x")}
        at.grants.put(at.session, "run", {"/identity/internal": token})
        assert await asks("internal") == (0, "ey.J.x", "")
        status, out, err = await asks("somebody else's")
        assert (status, out) == (1, "")
        assert "has no grant for /identity/somebody else's" in err
        at.go.touch()
        await until(town, "SELECT state FROM turn", lambda rows: rows[0][0] == "succeeded")
        status, _, err = await asks("internal")
        assert status == 1
        assert "No turn is running" in err


async def test_what_a_session_saw_of_its_branches_is_kept(town):
    await town.say("hello")
    session, short = (await town.rows("SELECT id, short FROM session"))[0]
    rows, own = BranchRows(town.database), f"refs/heads/ona/{short}"
    assert (await rows.of(session, "github:h/a/b")).seen(own) == ZERO
    await rows.saw(session, "github:h/A/B", {own: "a" * 40})
    await rows.saw(session, "github:h/a/b", {own: "b" * 40})
    known = await rows.of(session, "github:h/a/b")
    assert known.seen(own) == "b" * 40
    assert known.seen(f"{own}-2") == ZERO
    assert known.seen("refs/heads/main") is None


@pytest.mark.parametrize(
    ("ref", "own"),
    [
        ("refs/heads/ona/s-7f3k", True),
        ("refs/heads/ona/s-7f3k-fix", True),
        ("refs/heads/ona/s-7f3k/fix", True),
        ("refs/heads/ona/s-7f3kx", False),
        ("refs/heads/ona/s-7f3", False),
        ("refs/heads/s-7f3k", False),
        ("refs/tags/ona/s-7f3k", False),
    ],
)
def test_which_branches_are_a_sessions(ref, own):
    assert is_of("s-7f3k", ref) is own


def test_the_base_branch_is_for_people():
    branches = OwnBranches(short="s", base="ona/s")
    assert branches.protected("refs/heads/ona/s")
    assert branches.protected("refs/heads/main")
    assert not branches.protected("refs/heads/ona/s-1")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://github.com/Acme/API.git", "Acme/API"),
        ("https://GitHub.com/acme/api/", "acme/api"),
        ("https://user@github.com/acme/api", "acme/api"),
        ("https://github.com.evil.org/acme/api", None),
        ("https://gitlab.com/acme/api", None),
        ("/srv/git/api.git", None),
        ("https://github.com/", None),
    ],
)
def test_what_a_repository_is_called_on_its_code_host(url, path):
    host = CodeHost(
        surface="github", git_base="https://github.com", api_base="https://api.github.com"
    )
    assert path_of(url, host) == path


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://git.test/gitlab/acme/api.git", "acme/api"),
        ("https://git.test/gitlab/", None),
        ("https://git.test/gitlab", None),
        ("https://git.test/acme/api.git", None),
        ("https://git.test/gitlab-2/acme/api.git", None),
    ],
)
def test_what_a_repository_is_called_where_the_code_host_has_a_path(url, path):
    base = "https://git.test/gitlab"
    host = CodeHost(surface="gitlab", git_base=base, api_base=f"{base}/api/v4")
    assert path_of(url, host) == path


def test_programs_find_the_routes_by_their_environment():
    models = {
        "anthropic": ModelSettings(format="anthropic", url="https://api.anthropic.com"),
        "other": ModelSettings(format="anthropic", url="https://models.example.org"),
        "openai": ModelSettings(format="openai", url="https://api.openai.com"),
    }
    host = CodeHost(surface="gitlab", git_base="https://git.test:8443", api_base="https://git.test")
    found = machine_environment(models, [host])
    assert found["ANTHROPIC_BASE_URL"] == "http://gateway.ona/model/anthropic"
    assert found["OPENAI_BASE_URL"] == "http://gateway.ona/model/openai/v1"
    assert "sk-" not in str(found)
    assert found["GIT_CONFIG_COUNT"] == "4"
    assert found["GIT_CONFIG_KEY_0"] == "url.http://gateway.ona/forge/gitlab/.insteadOf"
    written = {found[f"GIT_CONFIG_VALUE_{number}"] for number in range(4)}
    assert "https://git.test:8443/" in written
    assert "git@git.test:8443:" in written


async def test_each_repository_of_a_project_has_grants_of_its_own(town, places, tmp_path):
    at_lib = "/forge/github/Acme/lib/"
    async with desk(town, tmp_path) as at, Shift(town, places, "w"):
        await begun(town)

        async def answers() -> list[str]:
            asked = [
                await get(
                    at.at.web, f"/forge/github/{name}/info/refs?service={service}", "gateway.ona"
                )
                for name in ("acme/api.git", "acme/lib.git")
                for service in ("git-upload-pack", "git-receive-pack")
            ]
            return [one.split()[1] for one in asked]

        reads = {"Authorization": SecretStr("Basic lib")}
        at.grants.put(at.session, "run", {at_lib: reads})
        assert await answers() == ["403", "403", "200", "403"]
        at.grants.put(at.session, "run", {f"{at_lib}push": reads})
        assert await answers() == ["403", "403", "403", "200"]
        at.go.touch()


def test_what_a_turn_is_granted_of_each_repository():
    hosts = [
        CodeHost(surface="github", git_base="https://github.com", api_base="https://api"),
        CodeHost(surface="gitlab", git_base="https://gitlab.test", api_base="https://gitlab.test"),
    ]
    found = own_grants(hosts, ["github", "gitlab"])(
        ["https://github.com/acme/shop", "https://gitlab.test/acme/lib.git", "/srv/elsewhere"]
    )
    assert [(one.name, one.route) for one in found] == [
        ("github-read", "/forge/github/"),
        ("github-push", "/forge/github/push"),
        ("gitlab-read-acme/lib", "/forge/gitlab/acme/lib/"),
        ("gitlab-push-acme/lib", "/forge/gitlab/acme/lib/push"),
    ]
    assert found[0].options["repositories"] == ["acme/shop"]
    assert found[2].options["project"] == "acme/lib"
