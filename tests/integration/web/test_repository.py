"""Reading a repository before it becomes a project; credentials are never shown."""

import asyncio

import pytest

from bot.errors import TellPerson
from bot.web.repository import read_repository, shown


async def git(*argv, cwd):
    process = await asyncio.create_subprocess_exec("git", *argv, cwd=cwd)
    assert await process.wait() == 0


async def test_a_repository_with_a_commit_can_be_read_and_an_empty_one_says_so(tmp_path):
    await git("init", "-q", ".", cwd=tmp_path)
    with pytest.raises(TellPerson, match="is empty"):
        await read_repository(str(tmp_path))
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    await git(*who, "commit", "-q", "--allow-empty", "-m", "first", cwd=tmp_path)
    await read_repository(str(tmp_path))
    await read_repository(f"file://{tmp_path}")


@pytest.mark.parametrize("url", ["/nowhere/at/all", "http://127.0.0.1:9/x.git", "ext::sh -c id"])
async def test_what_can_not_be_read_says_why(url):
    with pytest.raises(TellPerson) as refused:
        await read_repository(url)
    assert refused.value.do


async def test_credentials_in_an_address_reach_neither_page_nor_api(site):
    secret = "https://ann:hunter2secret@example.org/web.git"
    async with site.client() as client:
        new = {"name": "web", "repository_url": secret}
        added = await client.post("/api/v1/projects", json=new)
        listed = await client.get("/api/v1/projects")
    assert added.status_code == 201
    assert "hunter2secret" not in added.text + listed.text
    assert shown(secret) == "https://example.org/web.git"
