"""Pushes to a repository that is none of the project's: real git, our routes, a turn that runs.

The forge would take each of them: what is refused is refused by the gateway.
"""

import base64
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.work.routes import CodeHost, machine_environment
from tests.fakes import git_server
from tests.integration.gateway.test_forge_route import TOKEN, git, run
from tests.integration.gateway.test_project_routes import begun, desk
from tests.support.gateway import LOOPBACK
from tests.support.shift import Shift

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
