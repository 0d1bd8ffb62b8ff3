"""Trouble while grants are renewed and ended: each is seen to, whatever becomes of others."""

import asyncio
from collections.abc import Sequence

import psycopg
import pytest

from adapters.chat.port import Deadline
from adapters.vault.errors import VaultAway
from adapters.vault.kinds import KINDS, Kind
from adapters.vault.port import ANY_MODE, Trail
from adapters.vault.tokens import Tokens
from bot.govern import grant_rows, issuance
from bot.govern.grant_records import Holder, Recorded
from bot.govern.grants import Grants
from bot.govern.issuance import Issuance
from tests.integration.conftest import Town
from tests.integration.vault.conftest import NAMES, Place, Postgres
from tests.integration.vault.test_turns import DB, NPM, Slow, issuers, states, wants
from tests.support.shift import until

LOOK_SECONDS = 1.0
"""For so long it is looked whether an end waits; it waits longer."""


async def begun(town: Town, grants: Grants) -> Issuance:
    """A turn that has its grants."""
    await town.say("!true")
    lease = await town.queue("w", lease_seconds=600).claim()
    assert lease is not None
    key = lease.key
    holder = Holder(session_id=key.session_id, owner=key.owner, token=key.token)
    issued = grants.begin(holder, turn_id=None)
    await issued.ready()
    return issued


class Broken(Slow):
    """One whose answer to a revocation nobody understands."""

    async def revoke(self, trail: Trail, deadline: Deadline) -> bool:
        self.asked.set()
        raise KeyError("name")


class Tardy(Slow):
    """One that revokes when it is told to."""

    async def revoke(self, trail: Trail, deadline: Deadline) -> bool:
        await self.answers.wait()
        return await super().revoke(trail, deadline)


async def test_a_revocation_that_fails_hides_none_of_the_others(
    town: Town, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("broken", "tardy"):
        known = Kind(modes=ANY_MODE, takes=KINDS["kv"].takes)
        monkeypatch.setitem(KINDS, kind, known)  # type: ignore[arg-type]
    broken, tardy = Broken(), Tardy()
    grants = Grants(town.database, place.tokens, {"broken": broken, "tardy": tardy})
    other = {**NPM, "name": "other", "route": "other", "kind": "tardy"}
    await wants(town, {**NPM, "kind": "broken"}, other)
    turn = await begun(town, grants)
    ending = asyncio.create_task(turn.end(seconds_max=60))
    await broken.asked.wait()
    await asyncio.wait({ending}, timeout=LOOK_SECONDS)
    assert not ending.done(), "it waits for the others"
    tardy.answers.set()
    await ending
    assert tardy.revoked == ["0"]
    assert not turn.is_revoked
    assert await states(town) == [("broken", "issued"), ("tardy", "revoked"), ("token", "revoked")]


class Cut(grant_rows.GrantRows):
    """A table in which for a while nothing is written down of what was issued."""

    cut = False
    tries = 0

    async def record(self, issued: Sequence[Recorded]) -> None:
        Cut.tries += Cut.cut
        if Cut.cut:
            raise psycopg.OperationalError("the connection to the server is lost")
        await super().record(issued)


async def test_a_token_that_can_not_be_written_down_is_not_extended(
    town: Town, served: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.govern.grants.GrantRows", Cut)
    monkeypatch.setattr(issuance, "AGAIN_SECONDS", 0.1)
    monkeypatch.setattr(Cut, "tries", 0)
    place = served.place
    tokens = Tokens(place.vault, role=NAMES.token_role, living_seconds=3)
    grants = Grants(town.database, tokens, issuers(place.vault))
    await wants(town, DB)
    turn = await begun(town, grants)
    await turn.start(None, None)
    user = turn.handed["db"]["username"].get_secret_value()
    monkeypatch.setattr(Cut, "cut", True)
    accessor = "SELECT trace ->> 'accessor' FROM turn_grant WHERE kind = 'token' AND state = :state"
    place.root.auth.token.revoke_accessor(await town.value(accessor, state="issued"))
    async with asyncio.timeout(30):
        while Cut.tries < 2:
            await asyncio.sleep(0.05)
    unwritten = "SELECT 1 FROM turn_grant WHERE kind = 'token' AND state = 'issuing'"
    assert len(await town.rows(unwritten)) >= 2, "each try asks for another one"
    monkeypatch.setattr(Cut, "cut", False)
    rows = "SELECT state FROM turn_grant WHERE kind = 'database' ORDER BY created_at"
    await until(town, rows, lambda rows: [state for (state,) in rows] == ["revoked", "issued"])
    assert turn.handed["db"]["username"].get_secret_value() != user
    assert turn._token is not None
    assert await town.value(accessor, state="issued") == turn._token.accessor
    await turn.end(seconds_max=30)
    assert turn.is_revoked
    assert not place.lives(turn._token)


class Unreached(Slow):
    """One that is away when it is asked to revoke."""

    async def revoke(self, trail: Trail, deadline: Deadline) -> bool:
        raise VaultAway("it is sealed")


async def test_what_may_have_been_renewed_unwritten_is_not_given_up_before_that_ends(
    town: Town, place: Place
) -> None:
    """Killed between a renewal and its row, the end that is written down is too early."""
    sweeper = Grants(town.database, place.tokens, {"unreached": Unreached()})
    await town.say("!true")
    await town.rows(
        "INSERT INTO turn_grant (id, session_id, kind, name, mode, purpose, options, owner,"
        " lease_token, state, trace, issued_at, ends_at, created_at) SELECT gen_random_uuid(), id,"
        " 'unreached', 'it', 'handed', '', '{}', 'gone', 0, 'issued', '{}', now(),"
        " now() - interval '1 second', now() - interval '1 hour' FROM session RETURNING id"
    )
    assert await sweeper.sweep() == 0
    assert await states(town) == [("unreached", "issued")], "it is tried again"
    await town.rows("UPDATE turn_grant SET ends_at = ends_at - interval '15 minutes' RETURNING id")
    assert await sweeper.sweep() == 1
    assert await states(town) == [("unreached", "ended")]
