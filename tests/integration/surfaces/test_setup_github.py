"""`ona setup github`, with a browser that does what a person would."""

import html
import os
import re
import stat
import tomllib

import aiohttp
import pytest

from adapters.forge.github.examining import PERMISSIONS
from adapters.forge.github.hooks import EVENTS
from bot.config import load
from bot.doctor.forges import check_github
from tests.fakes.github import Bad, FakeGitHub
from tests.integration.surfaces.terminal import command


@pytest.fixture
async def github(github_emulator):
    async with FakeGitHub(github_emulator) as github:
        yield github


@pytest.fixture
async def browser():
    async with aiohttp.ClientSession() as session:
        yield session


def to(github) -> dict[str, str]:
    return {"ONA_GITHUB__URL": github.url, "ONA_GITHUB__API_URL": github.url}


def form_of(page: str) -> tuple[str, dict[str, str]]:
    """Where the one form of a page goes, and what is in it."""
    (action,) = re.findall(r'<form method="post"\s+action="([^"]+)"', page)
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page)
    return html.unescape(action), {name: html.unescape(value) for name, value in fields}


async def page_of(running) -> str:
    said = await running.until("ssh -L")
    (url,) = re.findall(r"http://127\.0\.0\.1:\d+/[\w-]+", said)
    return url


async def press(browser, github, url: str) -> aiohttp.ClientResponse:
    """Open our page, go on to GitHub, and press its button; where that leads."""
    async with browser.get(url) as page:
        action, fields = form_of(await page.text())
    async with browser.post(action, data=fields) as page:
        assert page.status == 200, await page.text()
        action, fields = form_of(await page.text())
    return await browser.post(github.url + action, data=fields)


async def test_an_app_is_made_written_and_good(github, browser, tmp_path):
    (tmp_path / "ona.toml").write_text("# ours\nport = 9000\n")
    async with command("setup", "github", home=tmp_path, given="", **to(github)) as running:
        async with await press(browser, github, await page_of(running)) as last:
            shown = await last.text()
        assert await running.end() == 0, running.said
    assert f"{github.url}/apps/ona-for-acme/installations/new" in shown
    written = (tmp_path / "ona.toml").read_text()
    assert written.startswith("# ours\nport = 9000\n")
    key_file = tmp_path / f"github-{github.app.id}.pem"
    assert tomllib.loads(written)["github"] == {
        "app_id": github.app.id,
        "private_key_file": str(key_file),
        "client_id": "Iv1.0123456789abcdef",
        "client_secret": "the-client-secret",
    }
    assert key_file.read_text() == github.private_key
    for file in (key_file, tmp_path / "ona.toml"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found = await check_github(load({"ONA_DATA_DIR": str(tmp_path), **to(github)}))
    assert found.found == f"{github.app.slug}; polls every 30 s"
    for secret in ("the-client-secret", github.private_key[100:200]):
        assert secret not in running.said + shown


async def test_without_a_public_address_it_asks_for_no_webhook(github, browser, tmp_path):
    async with command("setup", "github", home=tmp_path, given="", **to(github)) as running:
        (await press(browser, github, await page_of(running))).close()
        assert await running.end() == 0, running.said
    (manifest,) = github.registered.manifests
    assert "hook_attributes" not in manifest
    assert "default_events" not in manifest
    assert manifest["public"] is False
    assert manifest["default_permissions"] == {
        name: level for name, (level, _) in PERMISSIONS.items()
    }
    assert manifest["callback_urls"] == [
        "http://127.0.0.1:8484/back/github",
        "http://localhost:8484/back/github",
    ]
    assert "asks every 30 s (no public_url is set)" in running.said


async def test_with_a_public_address_webhooks_arrive_there_and_their_secret_is_kept(
    github, browser, tmp_path
):
    public = {"ONA_PUBLIC_URL": "https://ona.example.org", **to(github)}
    async with command("setup", "github", home=tmp_path, given="", **public) as running:
        (await press(browser, github, await page_of(running))).close()
        assert await running.end() == 0, running.said
    (manifest,) = github.registered.manifests
    assert manifest["hook_attributes"] == {
        "url": "https://ona.example.org/hooks/github",
        "active": True,
    }
    assert manifest["default_events"] == list(EVENTS)
    assert manifest["callback_urls"][0] == "https://ona.example.org/back/github"
    kept = tomllib.loads((tmp_path / "ona.toml").read_text())["github"]
    assert kept["webhook_secret"] == github.hooks.secret
    assert github.hooks.secret not in running.said


async def test_an_app_of_an_organization_is_made_there_as_it_was_typed(github, browser, tmp_path):
    async with command("setup", "github", home=tmp_path, **to(github)) as running:
        await running.until("Organization")
        running.type("acme")
        (await press(browser, github, await page_of(running))).close()
        assert await running.end() == 0, running.said
    assert github.registered.owners == ["acme"]
    assert github.registered.manifests[0]["name"] == "ona for acme"
    assert f"{github.url}/organizations/acme/settings/apps/ona-for-acme" in running.said


async def test_a_server_of_ones_own_is_written_down_with_its_api(github, browser, tmp_path):
    given = ("setup", "github", "--url", github.url)
    async with command(*given, home=tmp_path, given="") as running:
        (await press(browser, github, await page_of(running))).close()
        assert await running.end() == 0, running.said
    kept = tomllib.loads((tmp_path / "ona.toml").read_text())["github"]
    assert (kept["url"], kept["api_url"]) == (github.url, f"{github.url}/api/v3")


async def test_what_did_not_begin_here_is_refused_and_changes_nothing(github, browser, tmp_path):
    async with command("setup", "github", home=tmp_path, given="", **to(github)) as running:
        url = await page_of(running)
        base = url.rpartition("/")[0]
        async with browser.get(f"{base}/back?code=abc&state=guessed") as refused:
            assert refused.status == 403
        async with browser.get(f"{base}/back?code=abc") as refused:
            assert refused.status == 403
        async with browser.get(f"{base}/") as nothing:
            assert nothing.status == 404
        (await press(browser, github, url)).close()
        assert await running.end() == 0, running.said


async def test_a_code_that_github_does_not_take_ends_it_with_words(github, browser, tmp_path):
    github.behave("POST", "conversions", Bad(status=404))
    async with command("setup", "github", home=tmp_path, given="", **to(github)) as running:
        async with await press(browser, github, await page_of(running)) as last:
            assert last.status == 502
        assert await running.end() != 0
    assert "the code is wrong, used or too old" in running.said
    assert "Nothing was written" in running.said
    assert "Traceback" not in running.said
    assert not (tmp_path / "ona.toml").exists()


async def test_it_can_be_repeated_and_the_old_key_stays_until_somebody_deletes_it(
    github, browser, tmp_path
):
    (tmp_path / "github-1.pem").write_text("old")
    (tmp_path / "ona.toml").write_text(
        '[github]\napp_id = 1\nprivate_key = "inline"\nwebhook_secret = "old"\nforks = true\n'
    )
    async with command("setup", "github", home=tmp_path, given="", **to(github)) as running:
        (await press(browser, github, await page_of(running))).close()
        assert await running.end() == 0, running.said
    kept = tomllib.loads((tmp_path / "ona.toml").read_text())["github"]
    assert kept["forks"] is True
    assert (kept["app_id"], "private_key" in kept, "webhook_secret" in kept) == (
        github.app.id,
        False,
        False,
    )
    assert (tmp_path / "github-1.pem").read_text() == "old"


async def test_a_file_that_can_not_be_changed_is_left_and_what_to_write_is_shown(
    github, browser, tmp_path
):
    odd = "github = {forks = true}\n"
    (tmp_path / "ona.toml").write_text(odd)
    async with command("setup", "github", home=tmp_path, given="", **to(github)) as running:
        (await press(browser, github, await page_of(running))).close()
        assert await running.end() == 0, running.said
    assert (tmp_path / "ona.toml").read_text() == odd
    assert f"[github]\napp_id = {github.app.id}" in running.said
    assert os.listdir(tmp_path).count("ona.toml") == 1


async def test_a_port_that_is_taken_is_told(github, tmp_path):
    port = github.url.rpartition(":")[2]
    given = ("setup", "github", "--port", port)
    async with command(*given, home=tmp_path, given="", **to(github)) as running:
        assert await running.end() != 0
    assert f"Port {port} can't be used" in running.said
    assert "--port" in running.said
