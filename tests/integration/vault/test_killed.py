"""Processes that are killed with the grants of a turn, at each of their steps: nothing works on."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import asyncssh
import jwt
import pytest

from adapters.forge.gitlab.client import Client
from adapters.vault.engines import DatabaseUsers, IdentityTokens, SshCertificates
from adapters.vault.forges import GitLabTokens
from adapters.vault.importing import import_rsa_key
from bot.chores import run_clock
from bot.config import QueueSettings
from bot.govern.grant_rows import LATE_SECONDS, UNRECORDED_SECONDS
from bot.govern.grants import Grants
from tests.fakes.github import FakeGitHub
from tests.fakes.github.program import Emulator
from tests.fakes.gitlab.server import FakeGitLab
from tests.fakes.gitlab.world import MAINTAINER
from tests.fakes.grants_process import Turn, Words
from tests.integration.conftest import Town
from tests.integration.vault.conftest import NAMES, Postgres, github_tokens, signs_ssh
from tests.integration.vault.test_turns import DB, FORGE, WHO, states, status, wants

MOMENTS = (
    "rows.plan",
    "token.issue",
    "database.issue",
    "ssh.issue",
    "identity.issue",
    "gitlab.issue",
    "github.issue",
    "rows.record",
    "token.extend",
    "rows.of_turn",
    "machine.place",
    "gateway.put",
    "token.revoke",
    "gitlab.revoke",
    "github.revoke",
    "rows.over",
)
"""Calls after whose answer a process is killed, in about the order in which they come."""
UNRECORDED = MOMENTS[: MOMENTS.index("rows.record")]
"""At these nothing is written down of what was issued but that it was asked for."""
UNWRITTEN_SECONDS = 10.0
"""Long enough for a slow machine to issue everything, and short enough to wait for."""


NOTICED_SECONDS = max(QueueSettings().lease_seconds + LATE_SECONDS, UNRECORDED_SECONDS)
"""So long after a kill the others see that nobody holds what it had."""
APP_KEY = "ona-github"
DEPLOY = {"name": "deploy", "kind": "ssh", "mode": "handed", "options": {"role": "demo-deploy"}}
Given = Mapping[str, Any]


def hub(repository: str) -> dict[str, Any]:
    """A token for one repository at GitHub."""
    return {
        "name": "hub",
        "kind": "github",
        "mode": "injected",
        "route": "hub",
        "headers": {"Authorization": "Basic {basic}"},
        "options": {"repositories": [repository], "permissions": {"contents": "read"}},
    }


@pytest.fixture
async def github(github_emulator: Emulator) -> AsyncIterator[FakeGitHub]:
    async with FakeGitHub(github_emulator) as github:
        yield github


@pytest.fixture
async def gitlab() -> AsyncIterator[FakeGitLab]:
    async with FakeGitLab() as gitlab:
        yield gitlab


async def begun(town: Town, moment: str) -> Turn:
    """A session of its own, whose turn a worker holds and has begun."""
    await town.say("!true", place=moment)
    queue = town.queue(moment, lease_seconds=QueueSettings().lease_seconds)
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


def ends(given: Given) -> tuple[float, str]:
    """When time ends what nothing else does, and for whom alone it works."""
    if given["kind"] == "identity":
        claims = jwt.decode(given["values"]["token"], options={"verify_signature": False})
        return claims["exp"], claims["aud"]
    certificate = asyncssh.import_certificate(given["values"]["certificate"])
    return certificate._valid_before, ",".join(certificate.principals)


async def test_whenever_a_process_is_killed_what_it_was_given_is_refused(
    town: Town,
    served: Postgres,
    gitlab: FakeGitLab,
    github: FakeGitHub,
    tmp_path: Path,
) -> None:
    place = served.place
    us = gitlab.person("ona", is_bot=True)
    project = gitlab.project("acme/shop", {us: MAINTAINER})
    shop = await github.repository("shop", private=True)
    import_rsa_key(place.root, APP_KEY, github.private_key)
    signs_ssh(place, "demo-deploy")
    await wants(town, DB, DEPLOY, WHO, FORGE, hub(shop.name))
    seen = tmp_path / "seen"
    words = Words(
        database=town.database.url,
        vault=place.server.address,
        namespace=place.namespace,
        token_file=str(place.token_file),
        gitlab=gitlab.url,
        gitlab_token=us.token,
        github=github.url,
        github_app=str(github.app.id),
        github_key=APP_KEY,
        seen=str(seen),
        unwritten_seconds=UNWRITTEN_SECONDS,
        turns=[await begun(town, moment) for moment in MOMENTS],
    )
    assert await killed(words) == dict.fromkeys(MOMENTS, -9)
    said = [json.loads(line) for line in seen.read_text().splitlines()]
    given = [one for one in said if "kind" in one]
    assert len(project.tokens) >= 5, "what was given works until somebody looks"
    tokens = [one["values"]["token"] for one in given if one["kind"] == "token"]
    assert len(tokens) == len(MOMENTS) - 1, "each but the first one came to its token"
    assert any(place.lives(token) for token in tokens)
    used = {one["moment"] for one in said if "used" in one}
    assert used == set(MOMENTS[MOMENTS.index("machine.place") :]), "written down, then used"

    passes = NOTICED_SECONDS
    await town.rows(
        f"UPDATE session SET lease_until = lease_until - interval '{passes} s' RETURNING id"
    )
    await town.rows(
        f"UPDATE turn_grant SET created_at = created_at - interval '{passes} s' RETURNING id"
    )
    client = Client(gitlab.url, us.token)
    hub_tokens = github_tokens(place, github)
    issuers = {
        "database": DatabaseUsers(place.vault, NAMES.database),
        "ssh": SshCertificates(place.vault, NAMES.ssh),
        "identity": IdentityTokens(place.vault, key=NAMES.oidc_key),
        "gitlab": GitLabTokens(client),
        "github": hub_tokens,
    }
    stop = asyncio.Event()
    sweeper = Grants(town.database, place.tokens, issuers)
    clock = asyncio.create_task(run_clock(town.database, "serve", stop, grants=sweeper))
    async with asyncio.timeout(60):
        while any(
            state in {"issuing", "issued"}
            for kind, state in await states(town)
            if kind in {"token", "database", "gitlab"} or (kind, state) == ("github", "issued")
        ):
            await asyncio.sleep(0.2)
    stop.set()
    await clock
    assert not project.tokens
    for one in given:
        if one["kind"] == "database":
            await served.refuses(one["values"]["username"])
    assert not any(place.lives(token) for token in tokens)
    api = f"{github.url}/repos/{shop.name}"
    at_github = {
        one["moment"]: await status(api, {"Authorization": f"Bearer {one['values']['token']}"})
        for one in given
        if one["kind"] == "github"
    }
    # GitHub lists no tokens: what it told a process that died before it wrote that down has its
    # hour. Nobody else ever had it, as it is used only then.
    unknown = {moment for moment, answer in at_github.items() if answer != 401}
    assert unknown <= set(UNRECORDED)
    assert at_github["github.issue"] == 200
    sessions = {f"sess-{short}" for (short,) in await town.rows("SELECT short FROM session")}
    for one in given:
        if one["kind"] in {"identity", "ssh"}:
            until, whom = ends(one)
            assert until <= time.time() + 600
            assert whom in {"internal", *sessions}
    client.close()
    hub_tokens.close()
