"""Templates whose set-up is granted something: it has that, and the template does not."""

import asyncio
from pathlib import Path
from typing import Any

import hvac
import pytest
from sqlalchemy import text

from adapters.vault.errors import Unreachable
from bot.errors import Refused
from bot.govern.grant_records import NotHeld
from bot.govern.grants import Grants
from bot.govern.policy_text import read
from bot.govern.turn_grants import NoGrants
from bot.work.repository import Repositories
from bot.work.templates import ProjectTemplates, TemplateLimits
from tests.fakes import git_tree
from tests.integration.conftest import Town
from tests.integration.pool.conftest import SPEC, Yard, Yards, yards  # noqa: F401
from tests.integration.pool.desks import SIZES
from tests.integration.vault.conftest import Place
from tests.integration.vault.test_turns import NPM, SECRET, grants, wants  # noqa: F401
from tests.integration.work.test_halt import halt
from tests.support.shift import until
from vmpool.machine import Template, TemplateState

BUILD_NPM = {**NPM, "builds": True}
BUILDING = "SELECT id, machine_id FROM template WHERE state = 'building'"
ROWS = "SELECT kind, state FROM turn_grant WHERE template_id IS NOT NULL ORDER BY kind"
ISSUED = "SELECT count(*) FROM turn_grant WHERE state = 'issued'"
AUDIT = "SELECT kind, place, project_id IS NOT NULL FROM audit_event WHERE kind LIKE 'grant.%'"


class Site:
    """A project whose set-up waits for a file, and the host that builds its template."""

    def __init__(self, town: Town, yard: Yard, grants: Grants, directory: Path) -> None:  # noqa: F811
        async def image() -> Any:
            return SPEC.image

        self.town, self.yard, self.grants, self.go = town, yard, grants, directory / "go"
        self._origin = directory / "origin"
        (directory / "work").mkdir()
        self.templates = ProjectTemplates(
            town.database,
            yard.keeper,
            Repositories(directory / "mirrors"),
            image=image,
            sizes=SIZES,
            limits=TemplateLimits(keep_seconds=3600, rebuild_seconds=0, setup_seconds_max=60),
            work=str(directory / "work"),
            granted=grants.of_build,
        )

    async def build(self) -> Template:
        wait = f'["until [ -e {self.go} ]; do sleep 0.05; done"]'
        async with self.town.database.begin() as tx:
            await tx.execute(
                text("UPDATE project SET repository_url = :url, setup = CAST(:setup AS jsonb)"),
                {"url": str(self._origin), "setup": wait},
            )
        await self.templates.build_due()
        return (await self.yard.rows.templates(*TemplateState))[0]

    async def granted(self) -> Any:
        """The machine of the build, once everything is issued."""
        await until(self.town, ISSUED, lambda rows: rows[0][0] == 2)
        ((_, machine),) = await self.town.rows(BUILDING)
        async with asyncio.timeout(10):
            while True:
                try:
                    await self.grants.memory.injected(machine, "npm")
                except NoGrants:
                    await asyncio.sleep(0.02)
                else:
                    return machine


@pytest.fixture
def site(town: Town, yards: Yards, grants: Grants, tmp_path: Path) -> Site:  # noqa: F811
    git_tree.make(tmp_path / "origin", {b"README": b"hello\n"})
    return Site(town, yards.make(running_max=12, memory_mib_max=100_000), grants, tmp_path)


async def test_set_up_has_what_is_granted_and_it_is_revoked_before_the_template_freezes(
    site: Site, town: Town, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await wants(town, BUILD_NPM, {**NPM, "name": "other"})
    at_freeze, freeze = [], site.yard.driver.freeze

    async def seen(*args: Any) -> None:
        at_freeze.append(await town.rows(ROWS))
        await freeze(*args)

    monkeypatch.setattr(site.yard.driver, "freeze", seen)
    building = asyncio.create_task(site.build())
    machine = await site.granted()
    headers = await site.grants.memory.injected(machine, "npm")
    assert headers == {"Authorization": f"Bearer {SECRET}"}
    ((template_id, _),) = await town.rows(BUILDING)
    accessor = await town.value("SELECT trace ->> 'accessor' FROM turn_grant WHERE kind = 'token'")
    assert place.root.auth.token.lookup_accessor(accessor)["data"]["display_name"] == (
        f"token-template-{str(template_id)[:8]}"
    )
    site.go.touch()
    template = await building
    assert template.state is TemplateState.READY
    assert at_freeze == [[("kv", "ended"), ("token", "revoked")]]
    with pytest.raises(NoGrants):
        await site.grants.memory.injected(machine, "npm")
    with pytest.raises(hvac.exceptions.InvalidRequest):
        place.root.auth.token.lookup_accessor(accessor)
    with pytest.raises(hvac.exceptions.InvalidPath):
        place.root.secrets.identity.read_entity_by_name(f"ona-{template_id}")
    assert sorted(await town.rows(AUDIT)) == [
        ("grant.ended", "npm", True),
        ("grant.issued", "npm", True),
        ("grant.issued", "token", True),
        ("grant.revoked", "token", True),
    ]
    assert SECRET not in str(template.steps)


async def test_a_build_gets_nothing_that_is_granted_to_turns_alone(site: Site, town: Town) -> None:
    await wants(town, NPM)
    site.go.touch()
    assert (await site.build()).state is TemplateState.READY
    assert await town.rows("SELECT 1 FROM turn_grant") == []


async def test_a_build_that_is_not_given_what_it_is_granted_fails_and_says_so(
    site: Site, town: Town
) -> None:
    await wants(town, {**BUILD_NPM, "options": {"path": "projects/demo/nowhere"}})
    template = await site.build()
    assert template.state is TemplateState.FAILED
    assert template.steps[-1]["step"] == "grants"
    assert template.steps[-1]["exit_status"] == 1
    assert "Set-up has not got what it is granted" in (template.note or "")
    assert not await town.rows("SELECT 1 FROM turn_grant WHERE state IN ('issuing', 'issued')")


async def test_a_build_that_is_not_revoked_makes_no_template(
    site: Site, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    await wants(town, BUILD_NPM)
    building = asyncio.create_task(site.build())
    await site.granted()

    async def away(*_args: object) -> None:
        raise TimeoutError

    over = site.grants._rows.over
    monkeypatch.setattr(site.grants._rows, "over", away)
    site.go.touch()
    template = await building
    assert template.state is TemplateState.FAILED
    assert "not known to be revoked" in (template.note or "")
    monkeypatch.setattr(site.grants._rows, "over", over)
    assert await site.grants.sweep() == 2
    assert {state for _, state in await town.rows(ROWS)} <= {"revoked", "ended"}


async def test_a_build_whose_grant_its_issuer_does_not_end_makes_no_template(
    site: Site, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    await wants(town, BUILD_NPM)
    building = asyncio.create_task(site.build())
    await site.granted()

    async def away(*_args: object) -> bool:
        raise Unreachable("no answer")

    monkeypatch.setattr("adapters.vault.engines.KvValues.revoke", away)
    site.go.touch()
    template = await building
    assert template.state is TemplateState.FAILED
    assert "not known to be revoked" in (template.note or "")


async def test_a_build_that_is_cancelled_keeps_nothing(site: Site, town: Town) -> None:
    await wants(town, BUILD_NPM)
    building = asyncio.create_task(site.build())
    machine = await site.granted()
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    with pytest.raises(NoGrants):
        await site.grants.memory.injected(machine, "npm")
    assert await town.rows(ROWS) == [("kv", "ended"), ("token", "revoked")]


@pytest.mark.parametrize(
    "ends",
    [
        "UPDATE template SET state = 'gone'",
        "UPDATE host SET seen_at = now() - interval '1 hour'",
        "halt",
    ],
)
async def test_what_a_build_left_is_swept(site: Site, town: Town, place: Place, ends: str) -> None:
    await wants(town, BUILD_NPM)
    building = asyncio.create_task(site.build())
    await site.granted()
    assert await site.grants.sweep() == 0, "the build goes on"
    accessor = await town.value("SELECT trace ->> 'accessor' FROM turn_grant WHERE kind = 'token'")
    ((template_id, machine_id),) = await town.rows(BUILDING)
    if ends == "halt":
        await halt(town, project="demo")
    else:
        async with town.database.begin() as tx:
            await tx.execute(text(ends))
    await site.grants.sweep()
    with pytest.raises(hvac.exceptions.InvalidRequest):
        place.root.auth.token.lookup_accessor(accessor)
    with pytest.raises(NotHeld):
        async with site.grants.of_build(template_id, machine_id):
            pass
    building.cancel()
    await asyncio.wait({building})


def test_what_is_handed_is_granted_to_no_build() -> None:
    with pytest.raises(Refused, match=r"grants.db is handed, so no build has it"):
        read('[grants.db]\nkind = "database"\nmode = "handed"\nbuilds = true', "policy.toml")
