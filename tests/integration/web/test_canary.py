"""Secrets are planted wherever there are some, and are found nowhere but where they belong."""

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
import structlog

from bot.config import LogSettings, load
from bot.errors import WrongSettings
from bot.govern.repeats import Repeats
from bot.logs import SECRETIVE, TALKATIVE, configure
from bot.store.ids import new_id
from tests.integration.web.site import Site
from tests.integration.web.test_cli import ona  # noqa: F401 - a fixture

ADDRESS = "canary-of-the-address-4711"
POLICY = "canary-of-a-policy-4712"
UPSTREAM = f'[routes.r]\nurl = "https://user:{POLICY}@h.example.com"\n'
NOT_FOUND_IN = {"project": ("repository_url",)}
"""Columns that hold a secret because it is used: whoever reads the database is trusted with it."""


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Everything that is logged, down to the least severe."""
    stream, root = io.StringIO(), logging.getLogger()
    handlers, level = root.handlers, root.level
    levels = {name: logging.getLogger(name).level for name in (*TALKATIVE, *SECRETIVE)}
    configure(LogSettings(format="json", level="debug"), stream)
    yield stream
    root.handlers = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    logging.captureWarnings(False)
    structlog.reset_defaults()


async def dumped(site: Site) -> str:
    """Every row of every table as text."""
    tables = await site.rows(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    found = []
    for (table,) in tables:
        left_out = "".join(f" - '{column}'" for column in NOT_FOUND_IN.get(table, ()))
        rows = await site.rows(f'SELECT CAST(to_jsonb(t){left_out} AS text) FROM "{table}" AS t')
        found.extend(row for (row,) in rows)
    return "\n".join(found)


async def everything_to_read(site: Site, short: str) -> str:
    """Every page and every answer of the API to a GET, of an operator."""
    parts = []
    async with site.client() as client:
        described = (await client.get("/api/openapi.json")).json()
        paths = [path for path, ways in described["paths"].items() if "get" in ways]
        pages = ["/", "/projects", "/people", "/tokens", "/machines", "/pools", "/status", "/setup"]
        values = {"short": short, "name": "own", "machine": short, "template": str(new_id())}
        for path in [*paths, *pages, f"/sessions/{short}", "/metrics", "/connect"]:
            filled = re.sub(r"\{(\w+)\}", lambda one: values.get(one[1], "1"), path)
            answer = await client.get(filled, params={"url": "x.example.com"})
            parts.append(f"{filled} {answer.status_code} {answer.text}")
    return "\n".join(parts)


async def planted(site: Site, run) -> dict[str, str]:
    """Use every kind of secret once, well and badly; each by its name."""
    address = f"https://user:{ADDRESS}@git.example.com/acme/own.git"
    made = await run("tokens", "add", "ci")
    secrets = {"address": ADDRESS, "policy": POLICY, "cli": site.token, "token": made.out.strip()}
    async with site.client() as client:
        new = {"name": "own", "repository_url": address}
        assert (await client.post("/api/v1/projects", json=new)).status_code == 201
        assert (await client.post("/api/v1/projects", json=new)).status_code == 422
        wrong = await client.put("/api/v1/projects/own/policy", json={"source": UPSTREAM})
        assert wrong.status_code == 422
        assert POLICY not in wrong.text
        secrets["link"] = await site.link()
        origin = {"Origin": site.url}
        answer = await client.post("/sign-in", data={"link": secrets["link"]}, headers=origin)
        secrets["browser"] = next(iter(answer.cookies.values()))
        await client.post("/sign-in", data={"link": secrets["link"]}, headers=origin)
    secrets["wrong token"] = "ona_canary-of-nobody-4713"
    async with site.client(secrets["wrong token"]) as nobody:
        assert (await nobody.get("/api/v1/sessions")).status_code == 401
    secrets["code"] = await site.services.connecting.code_for(site.bo)
    return secrets


async def test_no_secret_is_in_a_row_a_page_an_answer_or_a_log(site, ona, logged):  # noqa: F811
    refusals = Repeats(site.database)
    object.__setattr__(site.services, "audited", refusals.note)
    secrets = await planted(site, ona)
    short = (await site.ask("!make", project="own"))["session"]
    work = await site.begin()
    await work.output("built\n")
    await work.end()
    async with site.client(await site.token_of(site.bo)) as bo:
        assert (await bo.get("/api/v1/audit")).status_code == 422
    await refusals.write(last=True)
    places = {
        "database": await dumped(site),
        "pages and API": await everything_to_read(site, short),
        "audit": (await ona("audit", "export")).out,
        "logs": logged.getvalue(),
    }
    for noun in ("sessions", "projects", "people", "tokens", "audit", "policy"):
        ran = await ona(noun, "--json")
        assert json.loads(ran.out)
        places[f"ona {noun}"] = ran.out + ran.err
    assert "own" in places["database"]
    assert "access.refused" in places["audit"]
    assert short in places["pages and API"]
    for name, secret in secrets.items():
        assert len(secret) > 10
        for place, said in places.items():
            assert secret not in said, f"{name} in {place}"


SETTINGS = [
    "DATABASE__URL",
    "SLACK__BOT_TOKEN",
    "SLACK__APP_TOKEN",
    "SLACK__SIGNING_SECRET",
    "DISCORD__TOKEN",
    "GITHUB__PRIVATE_KEY",
    "GITHUB__WEBHOOK_SECRET",
    "GITHUB__CLIENT_SECRET",
    "GITLAB__TOKEN",
    "GITLAB__WEBHOOK_SECRET",
    "GITLAB__CLIENT_SECRET",
]


def test_no_secret_of_the_settings_is_in_what_is_said_of_them(tmp_path):
    canary = "canary-of-settings-4714"
    variables = {f"ONA_{name}": canary for name in SETTINGS}
    settings = load({"HOME": str(tmp_path), **variables})
    for said in (repr(settings), str(settings), settings.model_dump_json(), repr(vars(settings))):
        assert canary not in said
    file = tmp_path / "ona.toml"
    for name in SETTINGS:
        section, _, key = name.lower().partition("__")
        file.write_text(f'[{section}]\n{key} = ["{canary}"]\n')
        with pytest.raises(WrongSettings) as wrong:
            load({"HOME": str(tmp_path), "ONA_CONFIG": str(file)})
        assert canary not in str(wrong.value)
