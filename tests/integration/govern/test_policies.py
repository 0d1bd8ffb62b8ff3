"""Policies by version: what counts, who set it, and how soon everybody knows."""

import asyncio
from uuid import uuid4

import pytest

from bot.config import PolicySettings
from bot.errors import NotFound, Refused
from bot.govern.audit import Source
from bot.govern.installation import installation_policy
from bot.govern.policy import Policies, explain, set_policy, versions
from bot.govern.policy_text import read
from bot.govern.registries import Registry
from bot.store.database import POLICY, Listener
from tests.integration.conftest import DEMO
from vmpool.network.policy import Policy

ALLOW = '[egress]\nallow = ["{}"]\n'


def by(town):
    return Source(person_id=town.people["Ann"], who="Ann", surface="api")


async def put(town, host, name="p.toml"):
    return await put_text(town, ALLOW.format(host), name)


async def put_text(town, source, name="p.toml"):
    async with town.database.begin() as tx:
        return await set_policy(tx, DEMO, source, name=name, by=by(town))


async def test_the_newest_version_counts_and_the_older_ones_are_kept(town):
    policies = Policies(town.database, Policy())
    assert not explain(await policies.policy_of(DEMO), "https://a.example.com").allowed
    policies = Policies(town.database, Policy())
    assert [await put(town, host) for host in ("a.example.com", "b.example.com")] == [1, 2]
    assert await put(town, "b.example.com") == 2, "an equal one is no new version"
    policy = await policies.policy_of(DEMO)
    allowed = explain(policy, "https://b.example.com/x")
    assert allowed.allowed
    assert "policy of project demo, version 2, line 2" in allowed.reason
    assert not explain(policy, "a.example.com").allowed
    async with town.database.begin() as tx:
        found = await versions(tx, DEMO)
        with pytest.raises(NotFound):
            await versions(tx, DEMO, 3)
    assert [(row["version"], row["set_by"]) for row in found] == [(2, "Ann"), (1, "Ann")]
    audited = await town.rows(
        "SELECT kind, who, place, project_id, body ->> 'version' FROM audit_event ORDER BY number"
    )
    assert audited == [
        ("policy.set", "Ann", "demo", DEMO, "1"),
        ("policy.set", "Ann", "demo", DEMO, "2"),
    ]


async def test_one_that_can_not_be_read_changes_nothing(town):
    with pytest.raises(Refused, match=r"p\.toml, line 2: egress\.allow, entry 1"):
        await put(town, "a..b")
    with pytest.raises(Refused, match=r"p\.toml, line 2: grants\.db\.kind is 'databse'"):
        await put_text(town, '[grants.db]\nkind = "databse"\nmode = "handed"')
    with pytest.raises(NotFound):
        async with town.database.begin() as tx:
            await set_policy(tx, uuid4(), "", name="p.toml", by=by(town))
    assert await town.value("SELECT count(*) FROM policy_version") == 0
    assert await town.value("SELECT count(*) FROM audit_event") == 0


async def test_two_who_set_one_at_once_make_two_versions(town):
    made = await asyncio.gather(*(put(town, f"h{n}.example.com") for n in range(6)))
    assert sorted(made) == [1, 2, 3, 4, 5, 6]


async def test_a_change_is_known_at_once_where_it_is_listened_for(town, database_url):
    listener = Listener(database_url, POLICY)
    listening = asyncio.create_task(listener.run())
    await asyncio.wait_for(listener.listening.wait(), 20)
    policies = Policies(town.database, Policy(), listener=listener)
    assert not explain(await policies.policy_of(DEMO), "a.example.com").allowed
    await put(town, "a.example.com")
    async with asyncio.timeout(10):
        while not explain(await policies.policy_of(DEMO), "a.example.com").allowed:
            await asyncio.sleep(0.01)
    policies.close()
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_it_is_looked_up_once_while_nothing_changes(town):
    policies = Policies(town.database, Policy())
    first = await policies.policy_of(DEMO)
    await town.rows(
        "INSERT INTO policy_version (id, project_id, version, name, source)"
        " VALUES (:id, :project, 1, 'p', :source)",
        id=uuid4(),
        project=DEMO,
        source=ALLOW.format("a.example.com"),
    )
    assert await policies.policy_of(DEMO) is first


async def test_what_the_installation_denies_no_project_allows(town, tmp_path, monkeypatch):
    file = tmp_path / "ona.toml"
    file.write_text(
        '[policy]\nallow = ["all.example.com"]\ndeny = [\n  "a.example.com",\n]\n', "utf-8"
    )
    monkeypatch.setenv("ONA_CONFIG", str(file))
    found = [Registry("packages.example.com", None, "pip", "pip.conf")]
    settings = PolicySettings(allow=("all.example.com",), deny=("a.example.com",))
    policies = Policies(town.database, installation_policy(settings, found))
    await put(town, "a.example.com")
    policy = await policies.policy_of(DEMO)
    denied = explain(policy, "a.example.com")
    assert not denied.allowed
    assert "ona.toml of the installation, line 4" in denied.reason
    assert "line 2" in explain(policy, "all.example.com").reason
    assert "registry of pip, by pip.conf" in explain(policy, "packages.example.com").reason
    assert await policies.policy_of(None) == installation_policy(settings, found)


async def test_registries_that_are_set_count_in_place_of_those_that_are_found(monkeypatch):
    monkeypatch.setenv("ONA_POLICY__REGISTRIES", "own.example.com")
    found = [Registry("packages.example.com", None, "pip", "pip.conf")]
    policy = installation_policy(PolicySettings(registries=("own.example.com",)), found)
    assert "ONA_POLICY__REGISTRIES" in explain(policy, "own.example.com").reason
    assert not explain(policy, "packages.example.com").allowed


@pytest.mark.parametrize(
    ("said", "port"),
    [
        ("https://x.example.com/a?b", 443),
        ("http://x.example.com", 80),
        ("x.example.com", 443),
        ("x.example.com:5432", 5432),
        ("tcp://x.example.com:25", 25),
        ("ssh://git@x.example.com/a.git", 22),
    ],
)
def test_a_destination_can_be_said_in_several_ways(said, port):
    policy = read(f'[egress]\nservices = ["x.example.com:{port}"]', "p").policy("p")
    assert explain(policy, said).allowed


@pytest.mark.parametrize(
    "said", ["", "https://", "x.example.com:0x", "x:99999", "tcp://x.example.com"]
)
def test_what_is_no_destination_is_refused(said):
    with pytest.raises(Refused):
        explain(Policy(), said)
