"""Real git through the gateway to a real git server: the token is ours, the rules are kept."""

import asyncio
import base64
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bot.work.routes import CodeHost, machine_environment, path_of
from tests.fakes import git_server
from tests.support.gateway import LOOPBACK, Rig, allow, get, rig, talk
from vmpool.network.forge.pushing import ZERO
from vmpool.network.gateway.forge_route import ForgeRoute
from vmpool.network.gateway.ports import Identity, NoTurn, Refused
from vmpool.network.policy import Policy

TOKEN = "x-access-token:ghs_secret"
OWN = "refs/heads/ona/s-7f3k"


def git(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", "-c", "protocol.version=2", *words],
        cwd=cwd,
        text=True,
        capture_output=True,
        check=False,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(cwd),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@example.org",
            **environment,
        },
    )


async def run(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(git, *words, cwd=cwd, **environment)


@dataclass
class Known:
    """What sessions may, kept in memory."""

    has_turn: bool = True
    commits: dict[str, str] = field(default_factory=dict)
    asked: list[bool] = field(default_factory=list)

    def _headers(self) -> dict[str, str]:
        if not self.has_turn:
            raise NoTurn("No turn is running in this session.")
        return {"authorization": f"Basic {base64.b64encode(TOKEN.encode()).decode()}"}

    async def headers(self, who: Identity, repository: str, *, writes: bool):
        if repository != "acme/api":
            raise Refused(f"{repository} is no repository of this project.")
        self.asked.append(writes)
        return self._headers()

    async def api_headers(self, who: Identity):
        return self._headers()

    async def branches(self, who: Identity, repository: str):
        return self

    async def saw(self, who: Identity, repository: str, refs):
        self.commits |= refs

    async def moved(self, who: Identity, repository: str, refs):
        self.commits |= refs

    def seen(self, ref: str) -> str | None:
        return self.commits.get(ref, ZERO) if ref.startswith(OWN) else None

    def protected(self, ref: str) -> bool:
        return ref == "refs/heads/main"


@dataclass
class Shop:
    """A repository on a forge, a machine's clone of it, and the gateway between them."""

    at: Rig
    known: Known
    clone: Path
    bare: Path
    given: dict[str, str]

    async def push(self, *words: str, **environment: str) -> str:
        done = await run("push", "origin", *words, cwd=self.clone, **self.given, **environment)
        return done.stderr if done.returncode else ""

    async def commit(self, text: str) -> str:
        (self.clone / "file").write_text(text)
        await run("add", "file", cwd=self.clone)
        await run("commit", "-q", "-m", text[:20], cwd=self.clone)
        return (await run("rev-parse", "HEAD", cwd=self.clone)).stdout.strip()

    def there(self, ref: str) -> str:
        return git("rev-parse", "--verify", "-q", ref, cwd=self.bare).stdout.strip()


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    root, first = tmp_path / "forge", tmp_path / "first"
    bare = root / "acme" / "api.git"
    for directory in (bare, first):
        directory.mkdir(parents=True)
    git("init", "-q", "--bare", "-b", "main", cwd=bare)
    git("config", "http.receivepack", "true", cwd=bare)
    git("config", "receive.advertisePushOptions", "true", cwd=bare)
    git("init", "-q", "-b", "main", cwd=first)
    git("commit", "-q", "--allow-empty", "-m", "first", cwd=first)
    git("push", "-q", str(bare), "main", cwd=first)
    return bare


@pytest.fixture
def forge(bare: Path) -> Iterator[str]:
    with git_server.serve(bare.parents[1], TOKEN) as where:
        yield f"http://{where}"


@pytest.fixture
async def shop(forge: str, bare: Path, tmp_path: Path) -> AsyncIterator[Shop]:
    known = Known()
    async with rig() as at:
        route = ForgeRoute(
            prefix="/forge/main/", git_base=forge, api_base=forge, repositories=known
        )
        at.routes = (route,)
        at.zone.hosts["127.0.0.1"] = [LOOPBACK]
        config = tmp_path / "gitconfig"
        config.write_text(
            f"[http]\n\tproxy = http://{LOOPBACK}:{at.proxy}\n"
            '[url "http://gateway.ona/forge/main/"]\n\tinsteadOf = https://forge.test/\n'
        )
        clone = tmp_path / "clone"
        given = {"GIT_CONFIG_GLOBAL": str(config)}
        url = "https://forge.test/acme/api.git"
        done = await run("clone", "-q", url, str(clone), cwd=tmp_path, **given)
        assert done.returncode == 0, done.stderr
        yield Shop(at=at, known=known, clone=clone, bare=bare, given=given)


async def test_a_clone_is_made_and_a_branch_pushed_by_one_who_never_sees_the_token(shop):
    assert set(shop.known.asked) == {False}
    commit = await shop.commit("one")
    assert await shop.push(f"HEAD:{OWN}") == ""
    assert shop.there(OWN) == commit
    assert shop.known.commits == {OWN: commit}
    kept = [one.read_bytes() for one in shop.clone.rglob("*") if one.is_file()]
    assert not any(b"ghs_secret" in one or b"eC1hY2Nlc3" in one for one in kept)
    again = await shop.commit("two")
    assert await shop.push(f"HEAD:{OWN}") == ""
    assert shop.there(OWN) == again


async def test_a_forge_below_a_path_of_its_host_is_cloned_and_pushed_by_its_usual_address(
    bare, tmp_path
):
    """With what machines are told, and a grant for the repository that the project names."""
    with git_server.serve(bare.parents[1], TOKEN, under="/gitlab") as where:
        base = f"http://{where}/gitlab"
        host = CodeHost(surface="gitlab", git_base=base, api_base=f"{base}/api/v4")
        url, known = f"{base}/acme/api.git", Known()
        assert path_of(url, host) == "acme/api"
        async with rig() as at:
            at.routes = (
                ForgeRoute(
                    prefix=host.prefix,
                    git_base=host.git_base,
                    api_base=host.api_base,
                    repositories=known,
                    hosts=host.hosts,
                ),
            )
            at.zone.hosts[LOOPBACK] = [LOOPBACK]
            given = {
                **machine_environment({}, [host]),
                "http_proxy": f"http://{LOOPBACK}:{at.proxy}",
            }
            clone = tmp_path / "clone"
            done = await run("clone", "-q", url, str(clone), cwd=tmp_path, **given)
            assert done.returncode == 0, done.stderr
            done = await run("push", "-q", "origin", f"HEAD:{OWN}", cwd=clone, **given)
            assert done.returncode == 0, done.stderr
            outside = await get(at.web, "/forge/gitlab/../acme/api.git/HEAD", "gateway.ona")
    assert git("rev-parse", "-q", "--verify", OWN, cwd=bare).stdout
    assert set(known.asked) == {False, True}
    assert outside.split()[1] in {"403", "404"}


async def test_a_large_push_comes_in_chunks(shop):
    commit = await shop.commit(base64.b64encode(os.urandom(3_000_000)).decode())
    assert await shop.push(f"HEAD:{OWN}") == ""
    assert shop.there(OWN) == commit


@pytest.mark.parametrize(
    ("refspec", "words"),
    [
        ("HEAD:refs/heads/main", "is protected"),
        ("HEAD:refs/heads/other", "not one of this session"),
        ("HEAD:refs/tags/v1", "no tags"),
        ("+HEAD:refs/heads/main", "is protected"),
        (":refs/heads/main", "is protected"),
    ],
)
async def test_what_is_not_the_sessions_is_refused_and_git_says_why(shop, refspec, words):
    before = git("for-each-ref", cwd=shop.bare).stdout
    await shop.commit("one")
    said = await shop.push(refspec)
    assert "[remote rejected]" in said
    assert words in " ".join(said.split())
    assert git("for-each-ref", cwd=shop.bare).stdout == before
    (refused,) = [event for event in shop.at.events if not event.allowed]
    assert words in refused.reason, "the audit says which ref, and why"
    assert refspec.partition(":")[2] in refused.reason


async def test_a_branch_of_its_own_is_neither_deleted_nor_made_again(shop):
    commit = await shop.commit("one")
    assert await shop.push(f"HEAD:{OWN}") == ""
    assert "not deleted" in await shop.push(f":{OWN}")
    assert shop.there(OWN) == commit
    git("update-ref", "-d", OWN, cwd=shop.bare)
    await shop.commit("two")
    assert "somebody has deleted this branch" in await shop.push(f"HEAD:{OWN}")
    assert shop.there(OWN) == ""
    assert await shop.push(f"HEAD:{OWN}-2") == ""


async def test_all_or_nothing_a_push_with_one_ref_too_many_moves_none(shop):
    await shop.commit("one")
    said = await shop.push(f"HEAD:{OWN}", "HEAD:refs/heads/main")
    assert said.count("[remote rejected]") == 2
    assert shop.there(OWN) == ""


async def test_options_by_which_a_forge_would_merge_are_not_passed_on(shop):
    await shop.commit("one")
    said = await shop.push("-o", "merge_request.create", f"HEAD:{OWN}")
    assert "push options are not passed on" in said
    assert shop.there(OWN) == ""
    assert await shop.push(f"HEAD:{OWN}") == ""


async def test_fenced_what_somebody_else_moved_meanwhile_is_not_overwritten(shop, tmp_path):
    await shop.commit("one")
    assert await shop.push(f"HEAD:{OWN}") == ""
    other = tmp_path / "other"
    await run("clone", "-q", "-b", "ona/s-7f3k", str(shop.bare), str(other), cwd=tmp_path)
    await run("commit", "-q", "--allow-empty", "-m", "theirs", cwd=other)
    await run("push", "-q", "origin", "HEAD", cwd=other)
    theirs = shop.there(OWN)
    await run("commit", "-q", "--amend", "-m", "rewritten", cwd=shop.clone)
    assert "somebody else has moved" in await shop.push(f"+HEAD:{OWN}")
    assert shop.there(OWN) == theirs
    await run("fetch", "-q", "origin", cwd=shop.clone, **shop.given)
    await run("reset", "-q", "--hard", "origin/ona/s-7f3k", cwd=shop.clone)
    commit = await shop.commit("on top")
    assert await shop.push(f"HEAD:{OWN}") == ""
    assert shop.there(OWN) == commit


async def test_a_token_of_the_clients_own_goes_nowhere(shop):
    shop.known.has_turn = False
    await shop.commit("one")
    stolen = base64.b64encode(TOKEN.encode()).decode()
    said = await shop.push(
        f"HEAD:{OWN}",
        GIT_CONFIG_COUNT="1",
        GIT_CONFIG_KEY_0="http.extraHeader",
        GIT_CONFIG_VALUE_0=f"Authorization: Basic {stolen}",
    )
    assert "409" in said
    assert shop.there(OWN) == ""


async def test_without_the_route_git_reaches_no_forge_whoever_s_token_it_shows(shop, forge):
    """Its rewriting removed, a policy that allows the host, and a token that works there."""
    given = {"http_proxy": f"http://{LOOPBACK}:{shop.at.proxy}"}
    url = f"{forge.replace('//', f'//{TOKEN}@')}/acme/api.git"
    shop.at.policy = Policy(rules=allow(forge.removeprefix("http://")))
    await shop.commit("one")
    open_door = await run("push", url, "HEAD:refs/heads/other", cwd=shop.clone, **given)
    assert open_door.returncode == 0, "without the rule that is tried here it gets through"
    (route,) = shop.at.routes
    shop.at.routes = (replace(route, hosts=(LOOPBACK,)),)
    before = git("for-each-ref", cwd=shop.bare).stdout
    for words in (["push", url, "HEAD:refs/heads/stolen"], ["ls-remote", url]):
        done = await run(*words, cwd=shop.clone, **given)
        assert done.returncode != 0
        assert "403" in done.stderr
        assert "http://gateway.ona/forge/main/ and no other way" in shop.at.denied()[-1]
    assert git("for-each-ref", cwd=shop.bare).stdout == before


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("acme/other.git/info/refs?service=git-upload-pack", "403"),
        ("acme/api.git/objects/info/packs", "403"),
        ("acme/api.git/HEAD", "403"),
        ("acme/api.git/../other.git/info/refs?service=git-upload-pack", "403"),
        ("acme/api.git/info/refs?service=git-upload-archive", "403"),
        ("acme/api.git/info/lfs/objects/batch", "403"),
        ("acme/api%2egit/info/refs?service=git-receive-pack", "403"),
    ],
)
async def test_nothing_else_of_a_forge_is_reached(shop, path, status):
    answer = await get(shop.at.web, f"/forge/main/{path}", "gateway.ona")
    assert answer.split()[1] == status


async def test_the_api_is_only_read(shop):
    said = await talk(
        shop.at.web,
        b"POST /forge/main/api/repos/acme/api/pulls HTTP/1.1\r\nHost: gateway.ona\r\n"
        b"Connection: close\r\nContent-Length: 2\r\n\r\n{}",
    )
    assert said.startswith(b"HTTP/1.1 403")
    assert b"only read from here" in said
    answer = await get(shop.at.web, "/forge/main/api/nothing", "gateway.ona")
    assert answer.split()[1] == "404"
    form = await talk(
        shop.at.web,
        b"GET /forge/main/api/user HTTP/1.1\r\nHost: gateway.ona\r\nConnection: close\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 15\r\n\r\n"
        b"private_token=x",
    )
    assert form.startswith(b"HTTP/1.1 403")
    assert b"has no body" in form


@pytest.mark.parametrize(
    "body", [b"", b"0000PACK", b"hello", b"00a0" + b"0" * 20, b"0004", b"ffff" + b"x" * 100]
)
async def test_what_is_no_push_reaches_no_forge(shop, body):
    head = (
        "POST /forge/main/acme/api.git/git-receive-pack HTTP/1.1\r\nHost: gateway.ona\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    said = await talk(shop.at.web, head.encode() + body)
    assert said.startswith(b"HTTP/1.1 400")


async def test_a_compressed_push_is_not_taken(shop):
    head = (
        "POST /forge/main/acme/api.git/git-receive-pack HTTP/1.1\r\nHost: gateway.ona\r\n"
        "Connection: close\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n0000"
    )
    assert (await talk(shop.at.web, head.encode())).startswith(b"HTTP/1.1 415")
