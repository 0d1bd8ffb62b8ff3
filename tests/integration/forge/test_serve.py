"""`ona serve` as a process of its own, to which a GitHub delivers."""

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tests.e2e.installation import free_port
from tests.fakes.github.hooks import SECRET

ROOT = Path(__file__).parents[3]
START_SECONDS_MAX = 100


@asynccontextmanager
async def serving(town, github, directory, port):
    key = directory / "key.pem"
    key.write_text(github.private_key)
    variables = {
        "ONA_DATA_DIR": str(directory),
        "ONA_PORT": str(port),
        "ONA_DATABASE__URL": town.database.url,
        "ONA_LOG__FORMAT": "json",
        "ONA_GITHUB__APP_ID": str(github.app.id),
        "ONA_GITHUB__PRIVATE_KEY_FILE": str(key),
        "ONA_GITHUB__WEBHOOK_SECRET": SECRET,
        "ONA_GITHUB__API_URL": github.url,
        "ONA_GITHUB__URL": github.url,
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ONA_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "serve"),
        cwd=ROOT,
        env={**kept, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        await answering(port)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        said, _ = await process.communicate()
        assert github.private_key.splitlines()[1] not in said.decode()
        assert SECRET not in said.decode()


async def answering(port):
    async with aiohttp.ClientSession() as session, asyncio.timeout(START_SECONDS_MAX):
        while True:
            try:
                async with session.get(f"http://127.0.0.1:{port}/live"):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)


async def post(port, headers, body, *, surface="github"):
    url = f"http://127.0.0.1:{port}/hooks/{surface}"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=body, headers=dict(headers)) as answer,
    ):
        return answer.status


async def test_what_github_delivers_is_heard_once_and_what_is_not_signed_is_refused(
    town, github, shop, pull, tmp_path
):
    await town.rows(
        "UPDATE project SET repository_url = :url RETURNING id",
        url=f"{github.url}/{shop.name}.git",
    )
    port = free_port()
    async with serving(town, github, tmp_path, port):
        asked = await github.ann.says(pull, "/ona !true")
        await github.until(lambda: github.hooks.deliveries)
        delivery = github.hooks.deliveries[-1]
        headers = dict(delivery.headers)
        forged = {**headers, "X-Hub-Signature-256": "sha256=" + "0" * 64}
        assert await post(port, forged, delivery.body) == 401
        assert await post(port, headers, delivery.body) == 204
        assert await post(port, headers, delivery.body) == 204
        reactions = github.world.reactions[shop.name, asked.kind, asked.id]
        await github.until(lambda: [one["content"] for one in reactions] == ["eyes"], 30)
        assert await town.value("SELECT count(*) FROM prompt") == 1
        assert await post(port, headers, delivery.body, surface="gitlab") == 404
