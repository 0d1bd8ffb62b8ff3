"""Turns with grants, on the real queue and a real OpenBao: from the first row to the refusal."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from adapters.chat.port import Deadline
from adapters.forge.gitlab.client import Client
from adapters.vault import tokens as tokens_module
from adapters.vault.client import Vault
from adapters.vault.engines import DatabaseUsers, IdentityTokens, KvValues
from adapters.vault.errors import Unreachable
from adapters.vault.forges import GitLabTokens
from adapters.vault.importing import import_rsa_key
from adapters.vault.kinds import KINDS, Kind
from adapters.vault.logins import by_token_file
from adapters.vault.port import ANY_MODE, Issued, Issuer, Request, Trail
from adapters.vault.prepare import OWN_POLICY, prepare
from adapters.vault.tokens import Tokens
from bot.chores import run_clock
from bot.govern import grant_decisions, grant_rows, issuance
from bot.govern import grants as grants_module
from bot.govern.audit import HERE
from bot.govern.grant_decisions import Handed
from bot.govern.grant_records import Holder, Recorded
from bot.govern.grants import Grants
from bot.govern.policy import set_policy
from bot.govern.turn_grants import Behind, NoGrants
from bot.work.materials import Materials
from bot.work.own_host import OwnGrants, own_grants
from bot.work.routes import CodeHost
from tests.fakes.github import FakeGitHub
from tests.fakes.github.program import Emulator
from tests.fakes.gitlab.server import FakeGitLab
from tests.fakes.gitlab.world import MAINTAINER
from tests.fakes.guest_workplaces import GuestWorkplaces
from tests.integration.conftest import Town
from tests.integration.vault.conftest import NAMES, Place, Postgres, github_tokens
from tests.integration.work.test_halt import HALTED_SECONDS_MAX, halt
from tests.support.openbao import OpenBao, openbao_server
from tests.support.shift import Shift, until

NPM = {
    "name": "npm",
    "kind": "kv",
    "mode": "injected",
    "route": "npm",
    "headers": {"Authorization": "Bearer {token}"},
}
DB = {"name": "db", "kind": "database", "mode": "handed", "options": {"role": "demo-app"}}
WHO = {"name": "who", "kind": "identity", "mode": "handed", "options": {"audience": "internal"}}
FORGE = {
    "name": "forge",
    "kind": "gitlab",
    "mode": "injected",
    "route": "forge",
    "headers": {"Authorization": "Basic {basic}"},
    "options": {"project": "acme/shop", "scopes": ["read_api"]},
}
ROWS = "SELECT kind, state FROM turn_grant ORDER BY kind, created_at"
NOTICES = "SELECT body ->> 'text' FROM turn_event WHERE kind = 'notice' ORDER BY number"
TURN = "SELECT state, outcome ->> 'summary' FROM turn ORDER BY started_at"
AUDIT = (
    "SELECT kind, place, who, session_id, CAST(body ->> 'repeats' AS int) FROM audit_event"
    " WHERE kind LIKE 'grant.%' ORDER BY number"
)
SECRET = "npm-value-nobody-may-see"


def issuers(vault: Vault, gitlab: Client | None = None) -> dict[str, Issuer]:
    made: dict[str, Issuer] = {
        "kv": KvValues(vault, NAMES.kv),
        "database": DatabaseUsers(vault, NAMES.database),
        "identity": IdentityTokens(vault, key=NAMES.oidc_key),
    }
    return made | ({"gitlab": GitLabTokens(gitlab)} if gitlab else {})


@pytest.fixture(autouse=True)
def kinds_of_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kinds of grant that only issuers of these tests know."""
    for name in ("slow", "gone", "brief"):
        kind = Kind(modes=ANY_MODE, takes=KINDS["kv"].takes)
        monkeypatch.setitem(KINDS, name, kind)  # type: ignore[arg-type]


async def wants(town: Town, *grants: dict[str, Any]) -> None:
    """Let the project's policy declare these."""
    named = {one.get("route", "") for one in grants}
    source = [
        f'[routes.{name}]\nurl = "https://{name}.example.com"' for name in named if name.isalnum()
    ]
    for one in grants:
        source.append(f"[grants.{one['name']}]")
        source += [f"{key} = {_toml(value)}" for key, value in one.items() if key != "name"]
    async with town.database.begin() as tx:
        project = await tx.scalar(text("SELECT id FROM project"))
        await set_policy(tx, project, "\n".join(source), name="policy.toml", by=HERE)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + "}"
    return json.dumps(value)


@pytest.fixture
def grants(place: Place, town: Town) -> Grants:
    place.root.secrets.kv.v2.create_or_update_secret(
        "projects/demo/npm", {"token": SECRET}, mount_point="secret"
    )
    return Grants(town.database, place.tokens, issuers(place.vault), environment="test")


async def session(town: Town) -> Any:
    return await town.value("SELECT id FROM session")


async def states(town: Town) -> Sequence[tuple]:
    return await town.rows(ROWS)


async def test_a_turn_has_its_grants_while_it_runs_and_none_afterwards(
    town: Town,
    places: GuestWorkplaces,
    grants: Grants,
    served: Postgres,
    tmp_path: Path,
) -> None:
    await wants(town, NPM, DB, WHO)
    gate, copy = tmp_path / "gate", tmp_path / "seen"
    await town.say(
        f"!cp -r $ONA_GRANTS {copy}; stat -c %a $ONA_GRANTS/db/password;"
        f" while ! test -e {gate}; do sleep 0.05; done"
    )
    async with Shift(town, places, "w", grants=grants):
        await until(town, "SELECT 1 FROM turn_event WHERE kind = 'output'", bool)
        who = await session(town)
        assert await grants.memory.injected(who, "npm") == {"Authorization": f"Bearer {SECRET}"}
        assert await grants.memory.injected(who, "other") == {}
        ((row,),) = await town.rows("SELECT id FROM turn_grant WHERE kind = 'kv'")
        assert grants.memory.behind(who, "npm") == [Behind(id=row, kind="kv", name="npm")]
        user = (copy / "db/username").read_text()
        assert await asyncio.to_thread(served.lets_in, user)
        assert (copy / "who/token").read_text().count(".") == 2
        assert not await grants.may_rest(who)
        assert {state for _, state in await states(town)} == {"issued"}
        assert not await town.rows("SELECT 1 FROM turn_grant WHERE turn_id IS NULL")
        gate.touch()
        await until(town, TURN, lambda rows: rows[0][0] == "succeeded")
    with pytest.raises(NoGrants):
        await grants.memory.injected(who, "npm")
    assert not grants.memory.behind(who, "npm")
    assert not list(tmp_path.glob("ona-*"))
    assert await states(town) == [
        ("database", "revoked"),
        ("identity", "issued"),
        ("kv", "ended"),
        ("token", "revoked"),
    ]
    await served.refuses(user)
    assert await grants.may_rest(who)
    assert sorted(await town.rows(AUDIT)) == [
        ("grant.ended", "npm", "Ann", who, None),
        ("grant.issued", "db", "Ann", who, None),
        ("grant.issued", "npm", "Ann", who, None),
        ("grant.issued", "token", "Ann", who, None),
        ("grant.issued", "who", "Ann", who, None),
        ("grant.revoked", "db", "Ann", who, None),
        ("grant.revoked", "token", "Ann", who, None),
    ]
    everything = str(await town.rows("SELECT a::text FROM audit_event a"))
    everything += str(await town.rows("SELECT g::text FROM turn_grant g"))
    everything += str(await town.rows("SELECT e::text FROM turn_event e"))
    for secret in (SECRET, *(path.read_text() for path in copy.rglob("password"))):
        assert secret not in everything


async def test_the_next_turn_gets_new_ones(
    town: Town, places: GuestWorkplaces, grants: Grants, served: Postgres, tmp_path: Path
) -> None:
    await wants(town, DB)
    for number in range(2):
        await town.say(f"!cp $ONA_GRANTS/db/username {tmp_path}/user{number}")
    async with Shift(town, places, "w", grants=grants):
        await until(town, TURN, lambda rows: [row[0] for row in rows] == ["succeeded"] * 2)
    assert (tmp_path / "user0").read_text() != (tmp_path / "user1").read_text()


async def test_they_are_issued_while_the_machine_is_made_ready(
    town: Town, places: GuestWorkplaces, grants: Grants, served: Postgres
) -> None:
    places.door.clear()
    await wants(town, NPM, DB)
    await town.say("!test -s $ONA_GRANTS/db/username")
    async with Shift(town, places, "w", grants=grants):
        await until(town, ROWS, lambda rows: [state for _, state in rows] == ["issued"] * 3)
        places.door.set()
        await until(town, TURN, lambda rows: rows and rows[0][0] == "succeeded")


async def test_an_undo_whose_machine_has_no_room_for_what_is_handed_ends_and_says_so(
    town: Town, places: GuestWorkplaces, grants: Grants, tmp_path: Path
) -> None:
    await wants(town, WHO)
    await town.say("!true")
    async with Shift(town, places, "w", grants=grants):
        await until(town, TURN, lambda rows: [row[0] for row in rows] == ["succeeded"])
        (tmp_path / "full").touch()
        places._materials = Materials(places.channel, memory=str(tmp_path / "full"))
        told = await town.say("undo")
        assert told.verdict == "prompt", told
        rows = await until(town, TURN, lambda rows: [row[0] for row in rows][1:] == ["failed"])
    assert "the machine refused: its credentials could not be put into it" in rows[1][1]
    assert await town.value("SELECT state FROM session") == "idle"


async def test_a_project_without_grants_needs_no_vault(
    town: Town, places: GuestWorkplaces, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("x")
    vault = Vault("http://127.0.0.1:9", by_token_file(tmp_path / "token"))
    tokens = Tokens(vault, role=NAMES.token_role)
    await town.say("!test -z $ONA_GRANTS")
    grants = Grants(town.database, tokens, issuers(vault))
    async with Shift(town, places, "w", grants=grants):
        await until(town, TURN, lambda rows: rows and rows[0][0] == "succeeded")
    assert not await states(town)
    await vault.close()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({**NPM, "name": "missing"}, "Vault has no such thing"),
        ({**NPM, "headers": {"A": "{nothing}"}}, "no value 'nothing'"),
    ],
)
async def test_what_is_set_up_wrongly_ends_the_turn_and_says_which(
    town: Town, places: GuestWorkplaces, grants: Grants, wrong: dict, said: str
) -> None:
    await wants(town, wrong)
    await town.say("!true")
    async with Shift(town, places, "w", grants=grants):
        ((_, summary),) = await until(town, TURN, lambda rows: rows and rows[0][0] == "failed")
    assert said in summary
    assert "the prompt is kept" in summary
    assert not [state for _, state in await states(town) if state == "issued"]


async def test_what_is_forbidden_waits_and_goes_on_when_it_is_allowed(
    town: Town,
    places: GuestWorkplaces,
    grants: Grants,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bot.work.worker.AWAITED_SECONDS", 1.0)
    place.root.sys.create_or_update_policy("ona-turn", 'path "none" { capabilities = ["deny"] }')
    await wants(town, NPM)
    await town.say("!true")
    async with Shift(town, places, "w", grants=grants):
        ((told,),) = await until(town, NOTICES, bool)
        assert "waits for its credentials: Vault does not permit it" in told
        assert "The prompt is kept and begins by itself" in told
        await asyncio.sleep(2.5)
        assert len(await town.rows(NOTICES)) == 1
        assert not await town.rows(TURN)
        prepare(place.root, NAMES)
        await until(town, TURN, lambda rows: rows and rows[0][0] == "succeeded")


class Trouble:
    """What becomes of a Vault in the middle of a turn, and how that ends."""

    def __init__(self, kind: str, server: OpenBao, token_file: Path) -> None:
        self._kind, self._server, self._file = kind, server, token_file
        self.log_in()

    def log_in(self) -> None:
        """Leave a token for ona."""
        made = self._server.client().auth.token.create(
            policies=[OWN_POLICY], no_parent=True, no_default_policy=True, period="1h"
        )
        self._file.write_text(made["auth"]["client_token"])

    def begin(self) -> None:
        match self._kind:
            case "killed":
                self._server.kill()
            case "sealed":
                self._server.seal()
            case "expired":
                self._server.client().auth.token.revoke(self._file.read_text())

    def end(self) -> None:
        match self._kind:
            case "killed":
                self._server.start()
            case "sealed":
                self._server.unseal()
            case "expired":
                self.log_in()


TROUBLES = {
    "killed": "Vault did not answer",
    "sealed": "Vault is sealed",
    "expired": "Vault does not let us log in",
}


@pytest.mark.parametrize("kind", TROUBLES)
async def test_vault_is_lost_in_the_middle_of_a_turn_and_comes_back(
    town: Town,
    places: GuestWorkplaces,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    monkeypatch.setattr("bot.work.worker.AWAITED_SECONDS", 1.0)
    with openbao_server(durable=True) as server:
        prepare(server.client(), NAMES)
        server.client().secrets.kv.v2.create_or_update_secret(
            "projects/demo/npm", {"token": SECRET}, mount_point="secret"
        )
        trouble = Trouble(kind, server, tmp_path / "token")
        vault = Vault(server.address, by_token_file(tmp_path / "token"))
        tokens = Tokens(vault, role=NAMES.token_role)
        grants = Grants(town.database, tokens, issuers(vault))
        await wants(town, NPM)
        gate = tmp_path / "gate"
        await town.say(f"!echo in; while ! test -e {gate}; do sleep 0.05; done")
        async with Shift(town, places, "w", grants=grants):
            await until(town, "SELECT 1 FROM turn_event WHERE kind = 'output'", bool)
            first = await session(town)
            await asyncio.to_thread(trouble.begin)
            assert await grants.memory.injected(first, "npm")
            await town.say("!true", place="another")
            ((told,),) = await until(town, NOTICES, bool)
            assert TROUBLES[kind] in told
            gate.touch()
            await until(town, TURN, lambda rows: rows[0][0] == "succeeded")
            with pytest.raises(NoGrants):
                await grants.memory.injected(first, "npm")
            assert ("token", "issued") in await states(town)
            await asyncio.to_thread(trouble.end)
            await until(town, TURN, lambda rows: [row[0] for row in rows] == ["succeeded"] * 2)
            await grants.sweep()
            tokens_left = [state for kind, state in await states(town) if kind == "token"]
            assert set(tokens_left) == {"revoked"}
        await vault.close()


@pytest.fixture
async def gitlab() -> AsyncIterator[FakeGitLab]:
    async with FakeGitLab() as gitlab:
        yield gitlab


async def test_a_worker_killed_between_issue_and_record_leaves_nothing_that_works(
    town: Town,
    place: Place,
    served: Postgres,
    gitlab: FakeGitLab,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (tokens_module, grant_decisions):
        monkeypatch.setattr(module, "UNWRITTEN_SECONDS", 3.0)
    us = gitlab.person("ona", is_bot=True)
    project = gitlab.project("acme/shop", {us: MAINTAINER})
    client = Client(gitlab.url, us.token)
    await wants(town, DB, FORGE)
    await town.say("!true")
    before = set(await town.rows("SELECT rolname FROM pg_roles WHERE rolname LIKE 'v-%'"))
    lease = await town.queue("killed", lease_seconds=2).claim()
    assert lease is not None
    killed = asyncio.Event()

    class Killed(grant_rows.GrantRows):
        async def record(self, issued: Sequence[Recorded]) -> None:
            killed.set()
            await asyncio.Event().wait()

    monkeypatch.setattr("bot.govern.grants.GrantRows", Killed)
    dying = Grants(town.database, place.tokens, issuers(place.vault, client))
    key = lease.key
    holder = Holder(session_id=key.session_id, owner=key.owner, token=key.token)
    left = dying.begin(holder, turn_id=None)
    async with asyncio.timeout(10):
        await killed.wait()
    monkeypatch.undo()
    monkeypatch.setattr(grant_rows, "UNRECORDED_SECONDS", 4.0)
    monkeypatch.setattr(grant_rows, "LATE_SECONDS", 0.0)
    assert len(project.tokens) == 1
    users = "SELECT rolname FROM pg_roles WHERE rolname LIKE 'v-%'"
    ((user,),) = set(await town.rows(users)) - before
    assert served.lets_in(user)
    other = Grants(town.database, place.tokens, issuers(place.vault, client))
    async with asyncio.timeout(20):
        while [state for _, state in await states(town) if state == "issuing"]:
            await other.sweep()
            await asyncio.sleep(0.2)
    assert not project.tokens
    assert ("gitlab", "revoked") in await states(town)
    await served.refuses(user)
    assert left._issuing is not None
    left._issuing.cancel()
    client.close()


async def test_the_grants_of_a_worker_that_died_are_swept_though_no_other_worker_is_left(
    town: Town,
    place: Place,
    grants: Grants,
    served: Postgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grant_rows, "LATE_SECONDS", 0.0)
    await wants(town, NPM, DB)
    await town.say("!true")
    lease = await town.queue("dies", lease_seconds=600).claim()
    assert lease is not None
    key = lease.key
    holder = Holder(session_id=key.session_id, owner=key.owner, token=key.token)
    begun = grants.begin(holder, turn_id=None)
    await begun.ready()
    user = begun.handed["db"]["username"].get_secret_value()
    other = Grants(town.database, place.tokens, issuers(place.vault))
    assert await other.sweep() == 0
    assert served.lets_in(user)
    await town.rows("UPDATE session SET lease_until = now() - interval '1 s' RETURNING id")
    stop = asyncio.Event()
    clock = asyncio.create_task(run_clock(town.database, "serve", stop, grants=other))
    await served.refuses(user)
    await until(town, ROWS, lambda rows: {state for _, state in rows} == {"revoked", "ended"})
    stop.set()
    await clock


async def test_what_comes_near_its_end_is_renewed_or_issued_again(
    town: Town,
    places: GuestWorkplaces,
    served: Postgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("adapters.vault.engines.IDENTITY_SECONDS_MAX", 6)
    served.role("demo-app", default_ttl="6s")
    place = served.place
    tokens = Tokens(place.vault, role=NAMES.token_role, living_seconds=6)
    grants = Grants(town.database, tokens, issuers(place.vault))
    await wants(town, DB, WHO)
    gate, copy = tmp_path / "gate", tmp_path / "seen"
    await town.say(
        f"!cp -r $ONA_GRANTS {copy}; echo in; while ! test -e {gate}; do sleep 0.05; done;"
        f" cp -r $ONA_GRANTS {copy}2"
    )
    async with Shift(town, places, "w", grants=grants):
        await until(town, "SELECT 1 FROM turn_event WHERE kind = 'output'", bool)
        await asyncio.sleep(9)
        user = (copy / "db/username").read_text()
        assert await asyncio.to_thread(served.lets_in, user)
        gate.touch()
        await until(town, TURN, lambda rows: rows[0][0] == "succeeded")
    assert (tmp_path / "seen2/db/username").read_text() == user
    renewed = [row for row in await town.rows(AUDIT) if row[0] == "grant.renewed"]
    for name in ("db", "token"):
        first, again = [times for _, place, _, _, times in renewed if place == name]
        assert first is None
        assert again >= 1
    assert (tmp_path / "seen2/who/token").read_text() != (copy / "who/token").read_text()
    assert [state for kind, state in await states(town) if kind != "identity"] == ["revoked"] * 2


async def test_a_token_that_somebody_revoked_is_followed_by_another(
    town: Town,
    places: GuestWorkplaces,
    served: Postgres,
    tmp_path: Path,
) -> None:
    place = served.place
    tokens = Tokens(place.vault, role=NAMES.token_role, living_seconds=3)
    grants = Grants(town.database, tokens, issuers(place.vault))
    await wants(town, DB)
    gate, copy = tmp_path / "gate", tmp_path / "seen"
    await town.say(
        f"!cp -r $ONA_GRANTS {copy}; echo in; while ! test -e {gate}; do sleep 0.05; done;"
        f" cp -r $ONA_GRANTS {copy}2"
    )
    async with Shift(town, places, "w", grants=grants):
        await until(town, "SELECT 1 FROM turn_event WHERE kind = 'output'", bool)
        accessor = await town.value(
            "SELECT trace ->> 'accessor' FROM turn_grant WHERE kind = 'token'"
        )
        place.root.auth.token.revoke_accessor(accessor)
        ended = [(kind, state) for kind in ("database", "token") for state in ("revoked", "issued")]
        await until(town, ROWS, lambda rows: rows == ended)
        gate.touch()
        await until(town, TURN, lambda rows: rows[0][0] == "succeeded")
    assert (tmp_path / "seen2/db/username").read_text() != (copy / "db/username").read_text()


class Slow:
    """An issuer of another kind, that answers to all but the first when it is told to."""

    modes = ANY_MODE
    by_token = False
    seconds_max = 60.0

    def __init__(self) -> None:
        self.issued: list[str] = []
        self.revoked: list[str] = []
        self.asked, self.answers = asyncio.Event(), asyncio.Event()

    async def issue(self, request: Request, deadline: Deadline) -> Issued:
        number = str(len(self.issued))
        self.issued.append(number)
        if len(self.issued) > 1:
            self.asked.set()
            await self.answers.wait()
        values = {"token": SecretStr(number)}
        return Issued(values=values, seconds=0.0, trace={"number": number})

    async def revoke(self, trail: Trail, deadline: Deadline) -> bool:
        self.revoked.append(trail.trace["number"])
        return True


async def test_a_turn_that_ends_while_another_one_is_issued_gives_up_that_one_too(
    town: Town, place: Place
) -> None:
    slow = Slow()
    grants = Grants(town.database, place.tokens, {"slow": slow})
    await wants(town, {**NPM, "kind": "slow"})
    await town.say("!true")
    lease = await town.queue("w").claim()
    assert lease is not None
    key = lease.key
    holder = Holder(session_id=key.session_id, owner=key.owner, token=key.token)
    begun = grants.begin(holder, turn_id=None)
    await begun.ready()
    await begun.start(None, None)
    await slow.asked.wait()
    ending = asyncio.create_task(begun.end(seconds_max=30))
    await until(town, "SELECT 1 FROM turn_grant WHERE kind = 'slow'", lambda rows: len(rows) == 2)
    slow.answers.set()
    await ending
    assert begun.is_revoked
    assert sorted(slow.revoked) == slow.issued == ["0", "1"]
    assert {state for _, state in await states(town)} == {"revoked"}


class Gone(Slow):
    """One that does not answer to all but the first."""

    async def issue(self, request: Request, deadline: Deadline) -> Issued:
        if self.issued:
            raise Unreachable("nobody answers there")
        return await super().issue(request, deadline)


async def test_an_issuer_that_is_away_keeps_no_other_grant_from_being_renewed(
    town: Town, place: Place
) -> None:
    gone, slow = Gone(), Slow()
    grants = Grants(town.database, place.tokens, {"gone": gone, "slow": slow})
    other = {**NPM, "name": "other", "route": "other", "kind": "slow"}
    await wants(town, {**NPM, "kind": "gone"}, other)
    await town.say("!true")
    lease = await town.queue("w").claim()
    assert lease is not None
    key = lease.key
    holder = Holder(session_id=key.session_id, owner=key.owner, token=key.token)
    begun = grants.begin(holder, turn_id=None)
    await begun.ready()
    await begun.start(None, None)
    async with asyncio.timeout(20):
        await slow.asked.wait()
    slow.answers.set()
    await begun.end(seconds_max=30)
    assert begun.is_revoked


class Brief(Slow):
    """One whose first grant is due at once, and the others are not."""

    async def issue(self, request: Request, deadline: Deadline) -> Issued:
        self.answers.set()
        issued = await super().issue(request, deadline)
        return replace(issued, seconds=3600.0 if len(self.issued) > 1 else 0.0)


async def test_while_the_way_into_a_machine_is_lost_another_grant_is_issued_once(
    town: Town, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuance, "AGAIN_SECONDS", 0.0)
    brief, tries, back = Brief(), [], asyncio.Event()
    grants = Grants(town.database, place.tokens, {"brief": brief})
    await wants(town, {"name": "it", "kind": "brief", "mode": "handed"})
    await town.say("!true")
    lease = await town.queue("w").claim()
    assert lease is not None
    key = lease.key
    begun = grants.begin(
        Holder(session_id=key.session_id, owner=key.owner, token=key.token), turn_id=None
    )
    await begun.ready()

    async def put(handed: Handed) -> None:
        tries.append(handed["it"]["token"].get_secret_value())
        if 1 < len(tries) < 5:
            assert brief.revoked == [], "what lies in the machine works on meanwhile"
            raise ConnectionError("the way in is lost")
        if len(tries) == 5:
            back.set()

    await begun.start(None, put)
    async with asyncio.timeout(30):
        await back.wait()
    await begun.end(seconds_max=30)
    assert tries == ["0", "1", "1", "1", "1"]
    assert brief.issued == ["0", "1"]
    # Whoever is cut off while it revokes does it again.
    assert set(brief.revoked) == {"0", "1"}
    assert {state for _, state in await states(town)} == {"revoked"}


async def test_what_can_not_be_ended_keeps_no_later_grant_from_being_swept(
    town: Town, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grants_module, "SWEPT_MAX", 2)
    slow = Slow()
    sweeper = Grants(town.database, place.tokens, {"slow": slow})
    await town.say("!true")
    add = (
        "INSERT INTO turn_grant (id, session_id, kind, name, mode, purpose, options, owner,"
        " lease_token, state, trace, issued_at, ends_at, created_at) SELECT gen_random_uuid(), id,"
        " :kind, 'it', 'injected', '', '{}', 'gone', 0, 'issued', '{\"number\": \"0\"}', now(),"
        " now() + interval '1 hour', now() - CAST(:age AS interval) FROM session RETURNING id"
    )
    for kind, age in (("unknown", "5 min"), ("unknown", "4 min"), ("slow", "3 min")):
        await town.rows(add, kind=kind, age=age)
    assert await sweeper.sweep() == 1
    assert slow.revoked == ["0"]
    await town.rows("UPDATE turn_grant SET ends_at = now() WHERE kind = 'unknown' RETURNING id")
    assert await sweeper.sweep() == 2, "it begins anew"


PUSH = "/forge/gitlab/push"
READ = "/forge/gitlab/"


async def on_gitlab(town: Town, gitlab: FakeGitLab) -> OwnGrants:
    """The project's repository is at a GitLab; what its turns have there."""
    await town.rows(
        "UPDATE project SET repository_url = :url RETURNING id", url=f"{gitlab.url}/acme/shop.git"
    )
    host = CodeHost(surface="gitlab", git_base=gitlab.url, api_base=f"{gitlab.url}/api/v4")
    return own_grants([host], ["gitlab"])


async def status(url: str, headers: Mapping[str, str]) -> int:
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as answer:
        return answer.status


async def test_a_turn_reads_and_pushes_at_its_own_code_host_though_nobody_declared_it(
    town: Town, places: GuestWorkplaces, place: Place, gitlab: FakeGitLab, tmp_path: Path
) -> None:
    us = gitlab.person("ona", is_bot=True)
    project = gitlab.project("acme/shop", {us: MAINTAINER})
    client = Client(gitlab.url, us.token)
    own = await on_gitlab(town, gitlab)
    grants = Grants(town.database, place.tokens, issuers(place.vault, client), own=own)
    gate = tmp_path / "gate"
    await town.say(f"!echo in; while ! test -e {gate}; do sleep 0.05; done")
    async with Shift(town, places, "w", grants=grants):
        await until(town, "SELECT 1 FROM turn_event WHERE kind = 'output'", bool)
        who = await session(town)
        read = await grants.memory.injected(who, READ)
        push = await grants.memory.injected(who, PUSH)
        assert {one.scopes for one in project.tokens} == {
            ("read_repository", "read_api"),
            ("write_repository",),
        }
        assert set(read) == {"Authorization", "Private-Token"}
        assert set(push) == {"Authorization"}
        assert push["Authorization"] != read["Authorization"]
        api = f"{gitlab.url}/api/v4/projects/acme%2Fshop"
        private = {"Private-Token": read["Private-Token"]}
        assert await status(api, private) == 200
        gate.touch()
        await until(town, TURN, lambda rows: rows[0][0] == "succeeded")
    assert await status(api, private) == 401
    assert not project.tokens
    assert not await town.rows(NOTICES)
    client.close()


async def test_a_declared_grant_takes_the_place_of_what_a_turn_has_anyway(
    town: Town, place: Place, gitlab: FakeGitLab
) -> None:
    us = gitlab.person("ona", is_bot=True)
    project = gitlab.project("acme/shop", {us: MAINTAINER})
    client = Client(gitlab.url, us.token)
    own = await on_gitlab(town, gitlab)
    await wants(town, {**FORGE, "route": READ})
    await town.say("!true")
    lease = await town.queue("w").claim()
    assert lease is not None
    key = lease.key
    holder = Holder(session_id=key.session_id, owner=key.owner, token=key.token)
    grants = Grants(town.database, place.tokens, issuers(place.vault, client), own=own)
    begun = grants.begin(holder, turn_id=None)
    await begun.ready()
    assert {one.scopes for one in project.tokens} == {("read_api",), ("write_repository",)}
    await begun.end()
    client.close()


async def test_a_code_host_that_refuses_is_told_once_and_turns_go_on(
    town: Town, places: GuestWorkplaces, place: Place, gitlab: FakeGitLab
) -> None:
    us = gitlab.person("ona", is_bot=True)
    gitlab.project("acme/shop", {us: 30})
    client = Client(gitlab.url, us.token)
    own = await on_gitlab(town, gitlab)
    grants = Grants(town.database, place.tokens, issuers(place.vault, client), own=own)
    for _ in range(2):
        await town.say("!true")
    async with Shift(town, places, "w", grants=grants):
        await until(town, TURN, lambda rows: [row[0] for row in rows] == ["succeeded"] * 2)
    ((told,),) = await town.rows(NOTICES)
    assert "can't use acme/shop" in told
    assert "401" in told
    await wants(town, {**FORGE, "route": READ})
    await town.say("!true")
    async with Shift(town, places, "w", grants=grants):
        await until(town, TURN, lambda rows: rows[-1][0] == "failed")
    client.close()


async def test_a_repository_beside_that_refuses_is_named_and_the_others_are_had(
    town: Town, places: GuestWorkplaces, place: Place, gitlab: FakeGitLab
) -> None:
    us = gitlab.person("ona", is_bot=True)
    gitlab.project("acme/shop", {us: MAINTAINER})
    for name in ("lib", "docs"):
        gitlab.project(f"acme/{name}", {us: 30})
        await town.rows(
            "INSERT INTO project_repository (id, project_id, name, url)"
            " SELECT gen_random_uuid(), id, :name, :url FROM project RETURNING id",
            name=name,
            url=f"{gitlab.url}/acme/{name}.git",
        )
    client = Client(gitlab.url, us.token)
    own = await on_gitlab(town, gitlab)
    grants = Grants(town.database, place.tokens, issuers(place.vault, client), own=own)
    for _ in range(2):
        await town.say("!true")
    async with Shift(town, places, "w", grants=grants):
        await until(town, TURN, lambda rows: [row[0] for row in rows] == ["succeeded"] * 2)
    told = [text for (text,) in await town.rows(NOTICES)]
    assert [one.partition(":")[0] for one in told] == [
        "What runs here can't use acme/docs",
        "What runs here can't use acme/lib",
    ]
    had = "SELECT DISTINCT name FROM turn_grant WHERE issued_at IS NOT NULL AND kind = 'gitlab'"
    assert await town.rows(f"{had} ORDER BY name") == [("gitlab-push",), ("gitlab-read",)]
    client.close()


async def test_a_turn_has_a_token_for_its_repository_at_github_alone(
    town: Town, place: Place, github_emulator: Emulator
) -> None:
    async with FakeGitHub(github_emulator) as github:
        import_rsa_key(place.root, "ona-github", github.private_key)
        tokens = github_tokens(place, github)
        shop = await github.repository("shop", private=True)
        host = CodeHost(surface="github", git_base="https://github.com", api_base=github.url)
        own = own_grants([host], ["github"])
        grants = Grants(town.database, place.tokens, {"github": tokens}, own=own)
        for name, refusals in ((shop.name, 0), ("acme/none", 2)):
            await town.rows(
                "UPDATE project SET repository_url = :url RETURNING id",
                url=f"https://github.com/{name}",
            )
            await town.say("!true", place=name)
            lease = await town.queue("w").claim()
            assert lease is not None
            key_of = lease.key
            holder = Holder(session_id=key_of.session_id, owner=key_of.owner, token=key_of.token)
            begun = grants.begin(holder, turn_id=None)
            await begun.ready()
            assert len(begun.without) == refusals
            await begun.start(None, None)
            for route in ("/forge/github/", "/forge/github/push"):
                added = await grants.memory.injected(holder.key, route)
                assert set(added) == (set() if refusals else {"Authorization"})
            await begun.end()
        tokens.close()


async def test_a_stop_ends_them(
    town: Town, places: GuestWorkplaces, grants: Grants, served: Postgres
) -> None:
    await wants(town, DB)
    await town.say("!echo in; sleep 60")
    async with Shift(town, places, "w", grants=grants):
        await until(town, "SELECT 1 FROM turn_event WHERE kind = 'output'", bool)
        await town.say("stop")
        await until(town, TURN, lambda rows: rows[0][0] == "stopped")
    assert {state for _, state in await states(town)} == {"revoked"}


async def test_a_halt_ends_them_within_five_seconds(
    town: Town, places: GuestWorkplaces, grants: Grants, served: Postgres, tmp_path: Path
) -> None:
    await wants(town, DB, NPM)
    name = tmp_path / "user"
    await town.say(f"!cp $ONA_GRANTS/db/username {name}; echo in; sleep 600")
    async with Shift(town, places, "w", grants=grants):
        await until(town, "SELECT 1 FROM turn_event WHERE kind = 'output'", bool)
        who, user = await session(town), name.read_text()
        assert await grants.memory.injected(who, "npm")
        assert await asyncio.to_thread(served.lets_in, user)
        async with asyncio.timeout(HALTED_SECONDS_MAX):
            await halt(town, project="demo")
            await served.refuses(user)
        with pytest.raises(NoGrants):
            await grants.memory.injected(who, "npm")
        await until(town, TURN, lambda rows: rows[0][0] == "stopped")
    assert {state for _, state in await states(town)} == {"revoked", "ended"}


async def test_a_turn_that_may_only_read_gets_what_reads_alone(
    town: Town, places: GuestWorkplaces, place: Place, gitlab: FakeGitLab, tmp_path: Path
) -> None:
    us = gitlab.person("ona", is_bot=True)
    gitlab.project("acme/shop", {us: MAINTAINER})
    for name in ("npm", "mirror"):
        place.root.secrets.kv.v2.create_or_update_secret(
            f"projects/demo/{name}", {"token": SECRET}, mount_point="secret"
        )
    client = Client(gitlab.url, us.token)
    own = await on_gitlab(town, gitlab)
    grants = Grants(town.database, place.tokens, issuers(place.vault, client), own=own)
    read = {**NPM, "name": "mirror", "route": "mirror", "reads": True}
    await wants(town, NPM, DB, WHO, read)
    gate = tmp_path / "gate"
    command = f'!test -z "$ONA_GRANTS" && echo in; while ! test -e {gate}; do sleep 0.05; done'
    await town.say(command, read_only=True)
    async with Shift(town, places, "w", grants=grants):
        await until(town, "SELECT 1 FROM turn_event WHERE kind = 'output'", bool)
        who = await session(town)
        assert await grants.memory.injected(who, READ)
        assert await grants.memory.injected(who, "mirror")
        assert not await grants.memory.injected(who, PUSH)
        assert not await grants.memory.injected(who, "npm")
        gate.touch()
        await until(town, TURN, lambda rows: rows and rows[0][0] == "succeeded")
    kinds = await town.rows("SELECT name FROM turn_grant ORDER BY name")
    assert [name for (name,) in kinds] == ["gitlab-read", "mirror", "token"]
    client.close()
