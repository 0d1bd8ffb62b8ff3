"""All that is issued for turns is used, well and badly, and is in nothing that anybody reads.

What an issuer gave out is noted as it passes; what the installation itself knows is planted.
"""

import io
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from adapters.chat.port import Deadline
from adapters.forge.gitlab.client import Client
from adapters.vault.client import Vault
from adapters.vault.engines import DatabaseUsers, IdentityTokens, KvValues, SshCertificates
from adapters.vault.forges import AppKey, GitHubTokens, GitLabTokens
from adapters.vault.importing import import_rsa_key
from adapters.vault.logins import by_token_file
from adapters.vault.port import Issued, Issuer, TurnToken
from adapters.vault.sealing import Sealing
from adapters.vault.tokens import Tokens
from bot.config import BudgetSettings, ModelSettings, load
from bot.govern.egress import EgressAudit
from bot.govern.grants import Grants
from bot.govern.policy_text import Document
from bot.govern.policy_text import Route as DeclaredRoute
from bot.govern.spending import Spending
from bot.vault import secrets_of
from bot.work.branches import BranchRows
from bot.work.metering import Metering, limits_of
from bot.work.own_host import own_grants
from bot.work.routes import CodeHost, Routes, Working
from bot.work.running import Running
from tests.fakes.github import FakeGitHub
from tests.fakes.gitlab.server import FakeGitLab
from tests.fakes.gitlab.world import MAINTAINER
from tests.integration.conftest import Town
from tests.integration.vault.conftest import NAMES, Place, Postgres
from tests.integration.web.site import Site, running_site
from tests.integration.web.test_canary import (  # noqa: F401 - `logged` is a fixture
    dumped,
    everything_to_read,
    logged,
)
from tests.integration.web.test_cli import ona  # noqa: F401 - a fixture
from tests.support.gateway import LOOPBACK, Rig, rig, serving, talk
from tests.support.shift import Shift, until

VALUE = "canary-of-a-registry-4731"
UNUSED = "canary-of-nothing-4732"
KEY = "sk-canary-of-a-provider-4733"
OURS = "glpat-canary-of-settings-4734"
LOGIN = "s.canary-of-a-login-4735"
POLICY = """
[routes.npm]
url = "UPSTREAM/npm"
[routes.hub]
url = "UPSTREAM/hub"
[grants.npm]
kind = "kv"
mode = "injected"
route = "npm"
headers = { Authorization = "Bearer {value}" }
options = { path = "projects/demo/NPM" }
[grants.hub]
kind = "github"
mode = "injected"
route = "hub"
headers = { Authorization = "Bearer {token}" }
options = { repositories = ["HUB"], permissions = { contents = "read" } }
[grants.inner]
kind = "identity"
mode = "injected"
route = "/identity/inner"
headers = { Authorization = "Bearer {token}" }
options = { audience = "inner" }
[grants.outer]
kind = "identity"
mode = "handed"
options = { audience = "outer" }
[grants.db]
kind = "database"
mode = "handed"
options = { role = "demo-app" }
[grants.login]
kind = "ssh"
mode = "handed"
options = { role = "demo-login" }
"""
WRONG = {
    "headers": ('"Bearer {value}"', '"Bearer {nothing}"', "no value 'nothing'"),
    "path": ("projects/demo/NPM", "projects/demo/NONE", "Vault has no such thing"),
    "repository": ("HUB", "acme/none", "404"),
    "role": ("demo-app", "demo-none", "Vault"),
}
"""What of a policy is wrong, and what its turns say of it."""
ASKED = json.dumps({"model": "claude-sonnet-4-5", "max_tokens": 100, "messages": []}).encode()
TURNS = "SELECT state FROM turn ORDER BY started_at"
TOLD = (
    "SELECT 1 FROM turn_event WHERE kind = 'notice'"
    " UNION ALL SELECT 1 FROM turn WHERE state = 'failed'"
)
"""How a turn says that it has no credentials."""


@dataclass
class Noting:
    """Notes all that issuers give out."""

    secrets: dict[str, str] = field(default_factory=dict)

    def watch(self, owner: Any, kind: str) -> Any:
        issue = owner.issue

        async def issued(*args: Any, **more: Any) -> Issued | TurnToken:
            made = await issue(*args, **more)
            values = {"": made.token} if isinstance(made, TurnToken) else made.values
            for name, value in values.items():
                if name != "username":
                    self.secrets[f"{kind} {name} {len(self.secrets)}"] = value.get_secret_value()
            return made

        owner.issue = issued
        return owner


@asynccontextmanager
async def echoing(shown: list[str]) -> AsyncIterator[str]:
    """Refuses everything, and says in every place what it was shown; its address."""

    async def serve(reader: Any, writer: Any) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        shown.append(head)
        lines = [line for line in head.splitlines() if ": " in line]
        credentials = [
            line.partition(": ")[2]
            for line in lines
            if line.lower().split(":")[0]
            in {"authorization", "private-token", "x-api-key", "x-vault-token"}
        ]
        said = " ".join(credentials)
        body = json.dumps({"errors": [said], "message": said, "error": {"message": said}})
        writer.write(
            f"HTTP/1.1 500 {said[:60]}\r\nContent-Type: application/json\r\nX-Echo: {said[:500]}"
            f"\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        await writer.drain()

    async with serving(serve) as port:
        yield f"http://{LOOPBACK}:{port}"


@dataclass(kw_only=True)
class Plant:
    """An installation that has all kinds of secrets."""

    site: Site
    town: Town
    place: Place
    grants: Grants
    noting: Noting
    models: dict[str, ModelSettings]
    repository: str
    gitlab: FakeGitLab
    hosts: list[CodeHost]
    echo: str
    shown: list[str]

    def policy(self, *changed: str) -> str:
        """:param changed: a text in it, and what stands there instead"""
        source = POLICY.replace(*changed) if changed else POLICY
        return source.replace("UPSTREAM", self.echo).replace("HUB", self.repository)

    @asynccontextmanager
    async def gateway(self, session: Any) -> AsyncIterator[Rig]:
        """With the session's machine at it, and the audit of what passes."""
        running, audit = Running(self.site.database), EgressAudit(self.site.database)
        spending = Spending(self.site.database, limits_of(BudgetSettings()))
        (project,) = await self.town.rows("SELECT id FROM project WHERE name = 'demo'")
        async with rig() as at:
            at.who = replace(at.who, session=session, project=project[0])
            at.gateway.identify(at.who)
            routes = Routes(
                running=running,
                meter=Metering(self.site.database, spending, self.models),
                branches=BranchRows(self.site.database),
                models=self.models,
                code_hosts=[
                    replace(one, git_base=self.echo, api_base=self.echo) for one in self.hosts
                ],
                grants=self.grants.memory,
                used=audit.used,
            )
            declared = {name: DeclaredRoute(url=f"{self.echo}/{name}") for name in ("npm", "hub")}
            at.routes = routes.of(
                Working(
                    id=project[0],
                    repositories=[f"{self.echo}/acme/shop.git"],
                    document=Document(routes=declared),
                )
            )
            at.zone.hosts[LOOPBACK] = [LOOPBACK]
            yield at
            for event in at.events:
                audit.take(event)
            await audit.write(last=True)


def issuers_of(place: Place, github: FakeGitHub, client: Client) -> dict[str, Issuer]:
    key = AppKey(place.vault, str(github.app.id), key="ona-github", mount="transit")
    sealing = Sealing(place.vault, key=NAMES.sealing_key, mount=NAMES.transit)
    return {
        "kv": KvValues(place.vault, NAMES.kv),
        "database": DatabaseUsers(place.vault, NAMES.database),
        "ssh": SshCertificates(place.vault, "ssh"),
        "identity": IdentityTokens(place.vault, key=NAMES.oidc_key),
        "github": GitHubTokens(key, sealing, api_url=github.url),
        "gitlab": GitLabTokens(client),
    }


@pytest.fixture
async def site(database_url, tmp_path, place: Place) -> AsyncIterator[Site]:
    secrets = secrets_of(place.vault)
    async with running_site(database_url, tmp_path, secrets=secrets) as running:
        yield running


@pytest.fixture
async def plant(
    site: Site, place: Place, served: Postgres, github_emulator, tmp_path
) -> AsyncIterator[Plant]:
    shown: list[str] = []
    variables = {"KEY": KEY, "FORMAT": "anthropic"}
    async with AsyncExitStack() as stack:
        github = await stack.enter_async_context(FakeGitHub(github_emulator))
        gitlab = await stack.enter_async_context(FakeGitLab())
        echo = await stack.enter_async_context(echoing(shown))
        import_rsa_key(place.root, "ona-github", github.private_key)
        repository = (await github.repository("shop", private=True)).name
        us = gitlab.person("ona", is_bot=True)
        us.token = OURS
        gitlab.project("acme/shop", {us: MAINTAINER})
        place.root.write_data(
            "ssh/config/ca", data={"generate_signing_key": True, "key_type": "ed25519"}
        )
        role = {"key_type": "ca", "allow_user_certificates": True, "allowed_users": "*"}
        place.root.write_data("ssh/roles/demo-login", data=role)
        named = {f"ONA_MODELS__OWN__{name}": value for name, value in variables.items()}
        models = load({"HOME": str(tmp_path), **named, "ONA_MODELS__OWN__URL": echo}).models
        host = CodeHost(surface="gitlab", git_base=gitlab.url, api_base=f"{gitlab.url}/api/v4")
        await site.rows(
            "UPDATE project SET repository_url = :url, agent = 'shell' RETURNING id",
            url=f"{gitlab.url}/acme/shop.git",
        )
        noting = Noting()
        issuers = issuers_of(place, github, Client(gitlab.url, us.token))
        grants = Grants(
            site.database,
            noting.watch(place.tokens, "token"),
            {kind: noting.watch(one, kind) for kind, one in issuers.items()},
            environment="test",
            own=own_grants([host], issuers),
        )
        yield Plant(
            site=site,
            town=Town(
                database=site.database,
                inbox=site.services.inbox,
                host_id=site.host_id,
                people={"Ann": site.ann},
            ),
            place=place,
            grants=grants,
            noting=noting,
            models=dict(models),
            repository=repository,
            gitlab=gitlab,
            hosts=[host],
            echo=echo,
            shown=shown,
        )


def request(path: str, body: bytes = b"") -> bytes:
    verb = "POST" if body else "GET"
    head = f"{verb} {path} HTTP/1.1\r\nHost: gateway.ona\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def used_well(plant: Plant, places: Any, tmp_path: Path) -> str:
    """A turn has all its grants, and each is shown to somebody; the session's short id."""
    gate, copy = tmp_path / "gate", tmp_path / "seen"
    said = f"!cp -r $ONA_GRANTS {copy}; echo in; while ! test -e {gate}; do sleep 0.05; done"
    short = (await plant.site.ask(said, project="demo", new=True))["session"]
    async with Shift(plant.town, places, "w", grants=plant.grants):
        await until(plant.town, "SELECT 1 FROM turn_event WHERE kind = 'output'", bool)
        session = await plant.town.value("SELECT id FROM session")
        async with plant.gateway(session) as at:
            for path in (
                "/upstream/npm/x",
                "/upstream/hub/x",
                "/forge/gitlab/acme/shop.git/info/refs?service=git-upload-pack",
                "/forge/gitlab/acme/shop.git/info/refs?service=git-receive-pack",
                "/identity/token?audience=inner",
                "/identity/token?audience=other",
            ):
                await talk(at.web, request(path))
            await talk(at.web, request("/model/own/v1/messages", ASKED))
        gate.touch()
        await until(plant.town, TURNS, lambda rows: [row[0] for row in rows] == ["succeeded"])
    assert {path.parent.name for path in copy.glob("*/*")} == {"outer", "db", "login"}
    return str(short)


async def used_badly(plant: Plant, places: Any, run: Any, tmp_path: Path) -> None:
    """Turns whose issuers refuse, each for another reason."""
    for number, (kind, (old, new, told)) in enumerate(WRONG.items()):
        file = tmp_path / f"{kind}.toml"
        file.write_text(plant.policy(old, new))
        assert (await run("policy", "set", "demo", str(file))).code == 0
        await plant.site.ask("!true", project="demo", new=True)
        async with Shift(plant.town, places, f"w{number}", grants=plant.grants):
            await until(plant.town, TURNS, lambda rows: [row[0] for row in rows][-1] == "failed")
        summaries = await plant.town.rows("SELECT outcome ->> 'summary' FROM turn")
        assert any(told in summary for (summary,) in summaries), (kind, summaries)


async def refused_with_echoes(plant: Plant, places: Any, tmp_path: Path) -> None:
    """Issuers that fail and say what they were shown, one of each."""
    (tmp_path / "login").write_text(LOGIN)
    vault = Vault(plant.echo, by_token_file(tmp_path / "login"))
    key = AppKey(plant.place.vault, "1", key="ona-github", mount="transit")
    sealing = Sealing(plant.place.vault, key=NAMES.sealing_key, mount=NAMES.transit)
    at_hub = Grants(
        plant.site.database,
        plant.place.tokens,
        {"github": GitHubTokens(key, sealing, api_url=plant.echo)},
    )
    code_host = {"gitlab": GitLabTokens(Client(plant.echo, OURS))}
    own = own_grants(plant.hosts, code_host)
    tokens = Tokens(vault, role=NAMES.token_role)
    everywhere = Grants(plant.site.database, tokens, {"kv": KvValues(vault, NAMES.kv)})
    at_forge = Grants(plant.site.database, plant.place.tokens, code_host, own=own)
    kv, _, rest = plant.policy().partition("[grants.hub]")
    hub = kv.partition("[grants.npm]")[0] + "[grants.hub]" + rest.partition("[grants.inner]")[0]
    tries = ((at_hub, hub), (at_forge, ""), (everywhere, kv))
    for number, (grants, policy) in enumerate(tries):
        async with plant.site.client() as client:
            answer = await client.put("/api/v1/projects/demo/policy", json={"source": policy})
            assert answer.status_code == 200, answer.text
        before = len(await plant.town.rows(TOLD))
        await plant.site.ask("!true", project="demo", new=True)
        async with Shift(plant.town, places, f"echo{number}", grants=grants):
            await until(plant.town, TOLD, lambda rows, had=before: len(rows) > had)
    plant.noting.secrets["github app"] = await key.token(Deadline.after(10))
    await vault.close()


@pytest.fixture
def run(ona):  # noqa: F811
    """Runs `ona …`, and keeps all that it says in `run.said`."""

    async def run(*words: str) -> Any:
        ran = await ona(*words)
        run.said.append(ran.out + ran.err)
        return ran

    run.said = []
    return run


async def test_nothing_that_is_issued_is_in_a_log_a_row_a_page_or_an_answer(
    plant: Plant,
    places,
    run,
    logged: io.StringIO,  # noqa: F811
    monkeypatch,
):
    tmp_path = Path(places._directory)

    for name, value in {"NPM": VALUE, "UNUSED": UNUSED}.items():
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{value}\n".encode())))
        assert (await run("secrets", "set", "demo", name)).code == 0
    file = tmp_path / "policy.toml"
    file.write_text(plant.policy())
    assert (await run("policy", "set", "demo", str(file))).code == 0
    short = await used_well(plant, places, tmp_path)
    await used_badly(plant, places, run, tmp_path)
    await refused_with_echoes(plant, places, tmp_path)
    for words in (
        ("secrets", "list", "demo"),
        ("secrets", "test", "demo", "NPM"),
        ("secrets", "set", "demo", "NPM", VALUE),
        ("sessions", "show", short),
        ("policy", "show", "demo"),
        ("audit", "export"),
    ):
        await run(*words)
    places_read = {
        "database": await dumped(plant.site),
        "pages and API": await everything_to_read(plant.site, short),
        "command line": "\n".join(run.said),
        "logs": logged.getvalue(),
        "Vault's log": plant.place.server.log_file.read_text(),
        "Vault's audit": plant.place.server.audit_file.read_text(),
    }
    secrets = {
        **plant.noting.secrets,
        "value": VALUE,
        "unused value": UNUSED,
        "provider's key": KEY,
        "GitLab's": OURS,
        "login": LOGIN,
        "our token": plant.place.token_file.read_text(),
    }
    shown = "".join(plant.shown)
    assert {name.split()[0] for name in plant.noting.secrets} == {
        *("token", "kv", "database", "ssh", "identity", "github", "gitlab")
    }
    for name in ("value", "provider's key", "GitLab's", "login", "github app"):
        assert secrets[name] in shown, "it was used"
    assert "grant.used" in places_read["command line"]
    found = [
        f"{name} in {place}"
        for name, secret in secrets.items()
        for place, text in places_read.items()
        if secret in text or json.dumps(secret)[1:-1] in text
    ]
    assert not found
