"""Secrets of projects, on a real OpenBao: set, named, tried, removed; never given out."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import hvac
import pytest
from pydantic import SecretStr

from adapters.vault.client import Vault
from adapters.vault.logins import by_token_file
from adapters.vault.prepare import OWN_POLICY, Names, prepare
from bot.errors import TryAgain
from bot.govern.access import Standing
from bot.govern.secrets import Secrets
from bot.store.ids import new_id
from bot.vault import secrets_of
from tests.integration.web.site import Site, running_site
from tests.integration.web.test_cli import ona  # noqa: F401  (a fixture)

POLICY = """
[routes.registry]
url = "https://registry.example.com"
[grants.first]
kind = "kv"
mode = "injected"
route = "registry"
headers = { Authorization = "Bearer {value}" }
options = { path = "projects/demo/A" }
[grants.second]
kind = "kv"
mode = "injected"
route = "/model/own/"
headers = { x-api-key = "{token}" }
options = { path = "projects/demo/A", mount = "secret" }
[grants.other]
kind = "kv"
mode = "injected"
route = "registry"
headers = { x-other = "{value}" }
"""
VALUE = "s3cr3t-value-of-a-test"
ANN = Standing(person_id=new_id(), name="Ann", active=True, operator=True)


@dataclass
class Held:
    secrets: Secrets
    root: hvac.Client
    own: hvac.Client
    vault: Vault


@pytest.fixture
async def held(openbao, vault_namespace, tmp_path: Path) -> AsyncIterator[Held]:
    root = openbao.client(namespace=vault_namespace)
    await asyncio.to_thread(prepare, root, Names())
    made = root.auth.token.create(
        policies=[OWN_POLICY], no_parent=True, no_default_policy=True, period="1h"
    )["auth"]["client_token"]
    token_file = tmp_path / "vault-token"
    token_file.write_text(made)
    vault = Vault(openbao.address, by_token_file(token_file), namespace=vault_namespace)
    secrets = secrets_of(vault)
    assert secrets is not None
    async with asyncio.timeout(10):
        # The engine is not ready at once after it was mounted.
        while True:
            try:
                await asyncio.to_thread(root.secrets.kv.v2.read_configuration)
                break
            except hvac.exceptions.VaultError:
                await asyncio.sleep(0.05)
    own = openbao.client(made, namespace=vault_namespace)
    yield Held(secrets=secrets, root=root, own=own, vault=vault)
    await vault.close()


@pytest.fixture
async def site(database_url, tmp_path, held: Held) -> AsyncIterator[Site]:
    async with running_site(database_url, tmp_path, secrets=held.secrets) as running:
        yield running


async def test_a_secret_is_set_listed_tried_and_removed(site, held, caplog, capfd):
    base = "/api/v1/projects/demo/secrets"
    async with site.client() as ann:
        assert (await ann.get(base)).json() == {"secrets": []}
        for value in ("older", VALUE):
            answer = await ann.put(f"{base}/NPM_TOKEN", json={"value": value})
            assert answer.json() == {"text": "Secret NPM_TOKEN of project demo is set."}
        (one,) = (await ann.get(base)).json()["secrets"]
        assert (one["name"], one["by"], one["versions"]) == ("NPM_TOKEN", "Ann", 2)
        tried = (await ann.post(f"{base}/NPM_TOKEN/test")).json()
        assert tried["readable"] is True
        assert tried["fields"] == ["value"]
        unknown = (await ann.post(f"{base}/OTHER/test")).json()
        assert (unknown["readable"], unknown["why"]) == (False, "there is no secret of that name")
        stored = held.root.secrets.kv.v2.read_secret_version(
            "projects/demo/NPM_TOKEN", raise_on_deleted_version=True
        )
        assert stored["data"]["data"] == {"value": VALUE}
        assert (await ann.delete(f"{base}/NPM_TOKEN")).status_code == 200
        assert (await ann.delete(f"{base}/NPM_TOKEN")).status_code == 404
        audited = (await ann.get("/api/v1/audit?kind=secret")).json()["events"]
    assert [(one["kind"], one["who"], one["place"]) for one in reversed(audited)] == [
        ("secret.set", "Ann", "demo/NPM_TOKEN"),
        ("secret.set", "Ann", "demo/NPM_TOKEN"),
        ("secret.removed", "Ann", "demo/NPM_TOKEN"),
    ]
    assert VALUE not in str(audited)
    said = capfd.readouterr()
    assert VALUE not in said.out + said.err + caplog.text + str(one) + str(tried)


async def test_what_is_tried_leaves_no_token_behind(site, held):
    before = held.root.auth.token.list_accessors()["data"]["keys"]
    await held.secrets.set("demo", "A", SecretStr("x"), ANN)
    await held.secrets.test("demo", "A", ANN)
    assert held.root.auth.token.list_accessors()["data"]["keys"] == before
    with pytest.raises(hvac.exceptions.InvalidPath):
        held.root.secrets.identity.list_entities()


async def test_a_turn_of_another_project_can_not_read_it_and_nor_can_we(site, held):
    await held.secrets.set("demo", "A", SecretStr(VALUE), ANN)
    read = held.own.secrets.kv.v2.read_secret_version
    with pytest.raises(hvac.exceptions.Forbidden):
        read("projects/demo/A", raise_on_deleted_version=True)
    held.root.sys.create_or_update_policy("ona-turn", 'path "secret/data/other" {}')
    tried = await held.secrets.test("demo", "A", ANN)
    assert (tried.readable, tried.fields) == (False, ())
    assert "policy" in tried.why


async def test_only_operators_and_only_names_and_values_that_can_be(site):
    base = "/api/v1/projects/demo/secrets"
    async with site.client() as ann, site.client(await site.token_of(site.bo)) as bo:
        for answer in (
            await bo.get(base),
            await bo.put(f"{base}/A", json={"value": VALUE}),
            await bo.post(f"{base}/A/test"),
            await bo.delete(f"{base}/A"),
        ):
            assert "only an operator" in answer.json()["error"]
        for name, value, status in (
            ("-a", VALUE, 422),
            ("a%2Fb", VALUE, 422),
            ("..", VALUE, 404),
            ("A", "", 422),
            ("A", "x" * 65_537, 413),
            ("A", [VALUE], 422),
        ):
            answer = await ann.put(f"{base}/{name}", json={"value": value})
            assert answer.status_code in {status, 405}, (name, answer.text)
            assert VALUE not in answer.text
        nowhere = await ann.get("/api/v1/projects/nowhere/secrets")
        assert nowhere.status_code == 404


@pytest.mark.parametrize("name", ["a/b", "..", ".", "a b", "a/test"])
async def test_what_a_name_may_be_is_said_of_one_that_can_not_be(
    site,
    ona,  # noqa: F811
    monkeypatch,
    name,
):
    for verb in ("set", "test", "remove"):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(VALUE.encode())))
        ran = await ona("secrets", verb, "demo", name)
        assert (ran.code, ran.out) == (2, ""), ran
        assert "use up to 63 letters, digits, dots, dashes, underscores" in ran.err.replace(
            "Use", "use"
        )


async def test_a_vault_that_is_away_is_said_so_and_nothing_is_stored(tmp_path):
    token_file = tmp_path / "token"
    token_file.write_text("s.x")
    vault = Vault("http://127.0.0.1:9", by_token_file(token_file))
    secrets = secrets_of(vault)
    assert secrets is not None
    with pytest.raises(TryAgain, match="did not answer"):
        await secrets.set("demo", "A", SecretStr(VALUE), ANN)
    await vault.close()


async def test_without_a_vault_the_answer_says_how_to_get_one(database_url, tmp_path):
    async with running_site(database_url, tmp_path) as site, site.client() as ann:
        answer = await ann.get("/api/v1/projects/demo/secrets")
    assert "no Vault" in answer.json()["error"]


async def test_the_command_line_takes_values_and_says_what_uses_them(
    site,
    held,
    ona,  # noqa: F811
    monkeypatch,
    tmp_path,
):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{VALUE}\n".encode())))
    done = await ona("secrets", "set", "demo", "A")
    assert done.code == 0, done.err
    stored = held.root.secrets.kv.v2.read_secret_version(
        "projects/demo/A", raise_on_deleted_version=True
    )
    assert stored["data"]["data"] == {"value": VALUE}
    for given in ((VALUE,), (f"-----BEGIN {VALUE}",), (f"--value={VALUE}",), (f"{VALUE}\udcff",)):
        refused = await ona("secrets", "set", "demo", "A", *given)
        assert (refused.code, refused.out) == (2, "")
        assert VALUE not in refused.err
    assert "Nothing was done" in refused.err
    listed = await ona("secrets", "list", "demo")
    assert "Ann" in listed.out
    tried = await ona("secrets", "test", "demo", "A")
    assert (tried.code, "can read it (fields: value)" in tried.out) == (0, True)
    assert "No grant of the project's policy uses it" in tried.out
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    assert (await ona("policy", "set", "demo", str(policy))).code == 0
    used = await ona("secrets", "test", "demo", "A")
    assert "Used by grant first on route /upstream/registry/.\n" in used.out
    assert "Used by grant second on route /model/own/, but its headers ask for {token}" in used.out
    assert "other" not in used.out
    assert (await ona("secrets", "test", "demo", "B")).code == 1
    removed = await ona("secrets", "remove", "demo", "A", "--json")
    assert json.loads(removed.out) == {"text": "Secret A of project demo is removed."}
    assert VALUE not in done.out + done.err + listed.out + tried.out
