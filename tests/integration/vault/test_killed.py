"""Processes that are killed with the grants of a turn, at each of their steps: nothing works on."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path

import pytest

from adapters.forge.gitlab.client import Client
from adapters.vault.engines import DatabaseUsers, IdentityTokens
from adapters.vault.forges import GitLabTokens
from bot.govern import grant_rows
from bot.govern.grants import Grants
from tests.fakes.gitlab.server import FakeGitLab
from tests.fakes.gitlab.world import MAINTAINER
from tests.fakes.grants_process import Turn, Words
from tests.integration.conftest import Town
from tests.integration.vault.conftest import NAMES, Postgres
from tests.integration.vault.test_turns import DB, FORGE, WHO, states, wants

MOMENTS = (
    "rows.plan",
    "token.issue",
    "database.issue",
    "identity.issue",
    "gitlab.issue",
    "rows.record",
    "token.extend",
    "rows.of_turn",
    "token.revoke",
    "gitlab.revoke",
    "rows.over",
)
"""Calls after whose answer a process is killed, in about the order in which they come."""
UNWRITTEN_SECONDS = 10.0
"""Long enough for a slow machine to issue everything, and short enough to wait for."""


@pytest.fixture
async def gitlab() -> AsyncIterator[FakeGitLab]:
    async with FakeGitLab() as gitlab:
        yield gitlab


async def begun(town: Town, moment: str) -> Turn:
    """A session of its own, whose turn a worker holds and has begun."""
    await town.say("!true", place=moment)
    queue = town.queue(moment, lease_seconds=600)
    lease = await queue.claim()
    assert lease is not None
    turn = await queue.begin_turn(lease, None)
    assert turn is not None
    key = lease.key
    return Turn(
        moment=moment,
        session_id=str(key.session_id),
        owner=key.owner,
        token=key.token,
        turn_id=str(turn.id),
    )


async def killed(words: Words) -> dict[str, int]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.fakes.grants_process", json.dumps(asdict(words))),
        cwd=Path(__file__).parents[3],
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    found: dict[str, int] = json.loads(said)
    return found


async def test_whenever_a_process_is_killed_what_it_was_given_is_refused(
    town: Town,
    served: Postgres,
    gitlab: FakeGitLab,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = served.place
    us = gitlab.person("ona", is_bot=True)
    project = gitlab.project("acme/shop", {us: MAINTAINER})
    await wants(town, DB, WHO, FORGE)
    seen = tmp_path / "seen"
    words = Words(
        database=town.database.url,
        vault=place.server.address,
        namespace=place.namespace,
        token_file=str(place.token_file),
        gitlab=gitlab.url,
        gitlab_token=us.token,
        seen=str(seen),
        unwritten_seconds=UNWRITTEN_SECONDS,
        turns=[await begun(town, moment) for moment in MOMENTS],
    )
    assert await killed(words) == dict.fromkeys(MOMENTS, -9)
    given = [json.loads(line) for line in seen.read_text().splitlines()]
    assert len(project.tokens) >= 5, "what was given works until somebody looks"
    tokens = [one["vault"] for one in given if "vault" in one]
    assert len(tokens) == len(MOMENTS) - 1, "each but the first one came to its token"
    assert any(place.lives(token) for token in tokens)

    monkeypatch.setattr(grant_rows, "UNRECORDED_SECONDS", 0.0)
    monkeypatch.setattr(grant_rows, "LATE_SECONDS", 0.0)
    await town.rows("UPDATE session SET lease_until = now() - interval '1 s' RETURNING id")
    await town.rows(
        "UPDATE turn_grant SET created_at = created_at - interval '1 minute' RETURNING id"
    )
    client = Client(gitlab.url, us.token)
    issuers = {
        "database": DatabaseUsers(place.vault, NAMES.database),
        "identity": IdentityTokens(place.vault, key=NAMES.oidc_key),
        "gitlab": GitLabTokens(client),
    }
    sweeper = Grants(town.database, place.tokens, issuers)
    async with asyncio.timeout(60):
        while open_kinds := [
            kind
            for kind, state in await states(town)
            if state in {"issuing", "issued"} and kind != "identity"
        ]:
            await sweeper.sweep()
            await asyncio.sleep(0.5)
    assert not open_kinds
    assert not project.tokens
    for user in [one["username"] for one in given if "password" in one]:
        await served.refuses(user)
    assert not any(place.lives(token) for token in tokens)
    client.close()
