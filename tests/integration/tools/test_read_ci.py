"""Checks of the session's branch, read with the turn's own grant."""

import json
from collections.abc import Mapping

import pytest

from bot.work.routes import CodeHost
from tests.support.gateway import LOOPBACK, serving
from tests.support.tools import desk

SHA = "a" * 40


def forge(answers: Mapping[str, object], heads: list[str]):
    """A forge's API with these answers by path; 404 for all else."""

    async def serve(reader, writer) -> None:
        while head := (await reader.readuntil(b"\r\n\r\n")).decode():
            heads.append(head)
            path = head.split()[1].partition("?")[0]
            found = answers.get(path)
            status = "200 OK" if found is not None else "404 Not Found"
            body = found if isinstance(found, bytes) else json.dumps(found).encode()
            start = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            writer.write(start + body)
            await writer.drain()

    return serve


def github(short: str) -> Mapping[str, object]:
    at = "/api/repos/acme/api"
    runs = [
        {"id": 7, "name": "tests", "status": "completed", "conclusion": "failure"}
        | {"app": {"slug": "github-actions"}, "output": {"title": "2 failed"}},
        {"id": 8, "name": "lint", "status": "completed", "conclusion": "success"},
        {"id": 9, "name": "slow", "status": "in_progress", "conclusion": None},
        {"id": 10, "name": "ona", "status": "in_progress", "conclusion": None},
    ]
    return {
        f"{at}/git/ref/heads/ona/{short}": {"object": {"sha": SHA}},
        f"{at}/commits/{SHA}/check-runs": {"check_runs": runs},
        f"{at}/commits/{SHA}/status": {
            "statuses": [{"context": "cov", "state": "failure", "description": "71 %"}]
        },
        f"{at}/actions/jobs/7/logs": b"x" * 50_000 + b"\nassert 1 == 2\x1b[0m\n",
    }


def gitlab(short: str) -> Mapping[str, object]:
    at = "/api/projects/acme%2Fapi"
    statuses = [
        {"id": 7, "name": "tests", "status": "failed", "description": "2 failed"},
        {"id": 8, "name": "lint", "status": "success"},
        {"id": 9, "name": "slow", "status": "running"},
        {"id": 10, "name": "ona", "status": "running"},
        {"id": 11, "name": "cov", "status": "failed", "description": "71 %"},
    ]
    return {
        f"{at}/repository/branches/ona%2F{short}": {"commit": {"id": SHA}},
        f"{at}/repository/commits/{SHA}/statuses": statuses,
        f"{at}/jobs/7/trace": b"x" * 50_000 + b"\nassert 1 == 2\x1b[0m\n",
    }


@pytest.mark.parametrize(("surface", "of"), [("github", github), ("gitlab", gitlab)])
async def test_checks_are_read_with_the_turns_grant_and_no_other(
    town, places, tmp_path, surface, of
):
    answers: dict[str, object] = {}
    heads: list[str] = []
    async with serving(forge(answers, heads)) as port:
        base = f"http://{LOOPBACK}:{port}"
        host = CodeHost(surface=surface, git_base=base, api_base=f"{base}/api")
        async with desk(town, places, tmp_path, hosts=[host]) as at:
            assert "on no code host" in await at.refused("read_ci")
            url = "UPDATE project SET repository_url = :url RETURNING id"
            await town.rows(url, url=f"{base}/acme/api.git")
            assert f"no grant for {host.prefix}" in await at.refused("read_ci")
            assert heads == []
            at.headers["X-Grant"] = "g"
            assert "nothing of it is pushed yet" in await at.refused("read_ci")
            answers |= of(at.short)
            told = await at.said("read_ci")
            assert "only branches of this session" in await at.refused("read_ci", branch="main")
    assert all("x-grant: g" in head.lower() for head in heads)
    assert told.startswith(f"Checks of ona/{at.short} at {SHA}.")
    assert [line for line in told.splitlines() if line and not line.startswith(" ")][1:] == [
        "failed: tests",
        "succeeded: lint",
        "pending: slow",
        "failed: cov",
    ]
    assert "    2 failed" in told
    assert "    assert 1 == 2\n" in told
    assert len(told) < 10_000
