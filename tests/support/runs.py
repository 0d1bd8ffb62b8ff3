"""Rows of runs for tests that don't begin them: what `bot.automate.runs.running` leaves behind."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from bot.store.ids import new_id, new_short

DEFINITION = {"name": "bump", "steps": [{"prompt": "Bump Ruff."}], "limits": {"parallel": 2}}
DEMO = "(SELECT id FROM project WHERE name = 'demo')"


class Rows(Protocol):
    """A town, or a site."""

    async def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]: ...


@dataclass(frozen=True, kw_only=True)
class Made:
    """A run that is there."""

    id: UUID
    short: str
    session_id: UUID
    session: str
    sessions: dict[int, tuple[UUID, str]]
    """Id and short id of the sessions of targets, by place."""


async def session_of(place: Rows, person: UUID, title: str = "") -> tuple[UUID, str]:
    """A session without anything in it."""
    session_id, short = new_id(), new_short("s")
    await place.rows(
        "INSERT INTO session (id, short, project_id, creator_id, title, agent, branch)"
        f" VALUES (:id, :short, {DEMO}, :person, :title, 'shell', :branch) RETURNING id",
        id=session_id,
        short=short,
        person=person,
        title=title,
        branch=f"ona/{short}",
    )
    return session_id, short


async def run_of(
    place: Rows,
    person: UUID,
    states: Sequence[str] = ("done", "failed", "running", "waiting"),
    *,
    by_hand: bool = False,
    stop_why: str = "",
    **definition: Any,
) -> Made:
    """A run in the name of `person`, with a target in each of the states."""
    run_id, short = new_id(), new_short("run")
    single = len(states) == 1
    session_id, session = await session_of(place, person, "bump")
    await place.rows(
        "INSERT INTO run (id, short, project_id, name, definition, trigger, key, runs_as_id,"
        f" started_by, session_id, stop_why) VALUES (:id, :short, {DEMO}, 'bump',"
        " CAST(:definition AS jsonb), CAST(:trigger AS jsonb), :short, :person, :starter, :session,"
        " :why) RETURNING id",
        id=run_id,
        short=short,
        definition=json.dumps({**DEFINITION, **definition}),
        trigger=json.dumps({"kind": "cron", "at": "2026-11-28T16:00:00+00:00"}),
        person=person,
        starter=person if by_hand else None,
        session=session_id,
        why=stop_why,
    )
    sessions = {}
    for number, state in enumerate(states, 1):
        begun = state not in {"waiting", "skipped"}
        target = (session_id, session) if single else (None, "")
        if begun and not single:
            target = await session_of(place, person, f"bump {number}")
        if begun:
            sessions[number] = target
        await place.rows(
            "INSERT INTO run_target (id, run_id, place, project_id, repository, state, why,"
            f" session_id, started_at, ended_at) VALUES (:id, :run, :place, {DEMO}, :repository,"
            " :state, :why, :session, CASE WHEN :begun THEN now() - interval '60 seconds' END,"
            " CASE WHEN :over THEN now() END) RETURNING id",
            id=new_id(),
            run=run_id,
            place=number,
            repository=f"acme/repo-{number}",
            state=state,
            why="the tests failed" if state == "failed" else "",
            session=target[0],
            begun=begun,
            over=state not in {"running", "waiting"},
        )
    return Made(id=run_id, short=short, session_id=session_id, session=session, sessions=sessions)


async def set_target(place: Rows, run: Made, number: int, **values: Any) -> None:
    """Change columns of a target."""
    put = ", ".join(f"{name} = :{name}" for name in values)
    await place.rows(
        f"UPDATE run_target SET {put} WHERE run_id = :run AND place = :place RETURNING id",
        run=run.id,
        place=number,
        **values,
    )


async def pull_of(
    place: Rows, run: Made, number: int, person: UUID, *, state: str = "open", **more: Any
) -> None:
    """A pull request of a target's session."""
    values = {"session": run.sessions[number][0], "repository": f"acme/repo-{number}", **more}
    await place.rows(
        "INSERT INTO pull_request (id, session_id, surface, repository, number, url, state, draft,"
        " head, base, opened_by, asker_id) VALUES (:id, :session, 'github', :repository, :number,"
        " :url, :state, false, 'ona/x', 'main', 'ona', :person) RETURNING id",
        id=new_id(),
        number=100 + number,
        url=f"https://github.com/{values['repository']}/pull/{100 + number}",
        state=state,
        person=person,
        **values,
    )


async def charge_of(
    place: Rows, session_id: UUID, person: UUID, cents: int, *, state: str = "settled"
) -> None:
    """What a session cost."""
    await place.rows(
        "INSERT INTO charge (id, turn_id, session_id, person_id, project_id, day, model, state,"
        f" cost_micro) VALUES (:id, :id, :session, :person, {DEMO}, now(), 'm', :state, :cost)"
        " RETURNING id",
        id=new_id(),
        session=session_id,
        person=person,
        state=state,
        cost=cents * 10_000,
    )
