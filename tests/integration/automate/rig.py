"""Automations as rows, and the loop that lets their runs go on."""

import json
from uuid import UUID

from sqlalchemy import text

from bot.automate.definition import Definition, digest, kept
from bot.automate.runs.acting import Acting
from bot.automate.runs.beginning import Beginning, Begun, Cause
from bot.automate.runs.repositories import KnownRepositories
from bot.automate.runs.running import Running
from bot.conversation.adding import unlooked
from bot.conversation.run_places import RunPlaces
from bot.conversation.run_posting import RunPosts
from bot.conversation.run_ways import RunWays
from bot.govern.agents import Agents
from bot.govern.rights import Rights
from bot.store.database import Database
from bot.store.ids import new_id, new_short
from tests.fakes.chat import FakeChat
from tests.integration.conftest import DEMO, Town

_ADD = text(
    """
    INSERT INTO automation (id, short, project_id, name, definition, digest, state, creator_id,
                            runs_as_id)
    VALUES (:id, :short, :project, :name, CAST(:definition AS jsonb), :digest, :state, :person,
            :person)
    """
)
_PROJECT = text(
    "INSERT INTO project (id, name, repository_url) VALUES (:id, :name, :url) RETURNING id"
)
TARGETS = text(
    """
    SELECT run_target.repository, run_target.state, run_target.why, run_target.step,
           run_target.report, run_target.attempt, session.short
      FROM run_target LEFT JOIN session ON session.id = run_target.session_id
     ORDER BY run_target.run_id, run_target.place
    """
)


class Office(FakeChat):
    """A surface with a channel that Ann is in."""

    async def channel_of(self, near, person, name, deadline):
        return {("U1", "general"): "T1/C1"}.get((person, name))


async def known_on_slack(town: Town) -> None:
    """Ann has an account there."""
    await town.rows(
        "INSERT INTO identity (id, person_id, surface, external_id, name)"
        " VALUES (:id, :ann, 'slack:T1', 'U1', 'ann') RETURNING id",
        id=new_id(),
        ann=town.people["Ann"],
    )


def reporting(database: Database, chat: FakeChat) -> Running:
    """Lets runs go on that report on Slack."""
    rights = Rights(database, {})
    ways = RunWays(
        database,
        rights,
        Agents(names=("shell",), default="shell"),
        check_repository=unlooked,
        posts=RunPosts(pages="https://ona.test"),
        places=RunPlaces(database, {"slack": chat}),
    )
    return Running(database, ways, rights, poll_seconds=0.1, look_seconds=0.1)


async def automation(town: Town, *, state: str = "active", person: str = "Ann", **said) -> UUID:
    """One that counts; `said` as in its file."""
    definition = Definition.model_validate({"name": "nightly", **said})
    values = {
        "id": new_id(),
        "short": new_short("a"),
        "project": DEMO,
        "name": definition.name,
        "definition": json.dumps(kept(definition)),
        "digest": digest(definition),
        "state": state,
        "person": town.people[person],
    }
    await town.database.run(_ADD, values)
    return values["id"]


async def project(town: Town, name: str, url: str = "") -> UUID:
    """One more project."""
    values = {"id": new_id(), "name": name, "url": url or f"https://example.org/acme/{name}.git"}
    return (await town.database.run(_PROJECT, values)).scalar_one()


def beginning(town: Town) -> Beginning:
    return Beginning(town.database, KnownRepositories({}))


async def begin(town: Town, automation_id: UUID, key: str = "k", **facts) -> Begun:
    cause = Cause(kind="person", key=key, facts=facts)
    return await beginning(town).begin(automation_id, cause)


def running(town: Town, *, rights: Rights | None = None, **more) -> Running:
    rights = rights or Rights(town.database, {})
    ways = _ways(town, rights, **more)
    return Running(town.database, ways, rights, poll_seconds=0.1, look_seconds=0.1)


def acting(town: Town) -> Acting:
    """Does what a process has decided, whatever others have done since."""
    rights = Rights(town.database, {})
    return Acting(town.database, _ways(town, rights), rights)


def _ways(town: Town, rights: Rights, **more) -> RunWays:
    return RunWays(
        town.database,
        rights,
        Agents(names=("shell", "claude-code"), default="shell"),
        check_repository=unlooked,
        posts=RunPosts(),
        places=RunPlaces(town.database, {}),
        **more,
    )


async def targets(town: Town) -> list:
    return (await town.database.run(TARGETS)).all()
