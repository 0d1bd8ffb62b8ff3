"""The sessions in which runs work: opened for each target, and asked step by step.

Nobody said those prompts anywhere, so their thread is one of no surface: the page of the session
shows it, and the run reports what came of it. What a run is about came from outside and is shown to
agents as quoted material only.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from adapters.chat.incoming import Quoted
from adapters.forge.port import Permission
from bot.automate.definition import (
    Definition,
    PromptStep,
    PullRequestOptions,
    PullRequestStep,
    ShellStep,
)
from bot.automate.runs import actionable
from bot.automate.runs.acting import Asking, Opened
from bot.conversation import commands, threads
from bot.conversation.message import IncomingMessage
from bot.conversation.prompting import add_prompt
from bot.errors import NotFound
from bot.govern.access import Act, Standing, require
from bot.govern.agents import Agents
from bot.govern.people import standing_of
from bot.govern.rights import Rights
from bot.store.ids import new_id
from bot.store.transaction import Transaction
from bot.words.catalogue import gettext as _
from bot.work import quoting, wishes
from bot.work.control import Actor
from bot.work.delivery import DELIVER
from bot.work.queue import NewPrompt, lock_session

SURFACE = "run"
PRIORITY = 1
"""After what people ask for themselves."""
SHELL = "shell"
"""The agent for whom a prompt is a script: it is told nothing besides."""
FACTS_CHARACTERS_MAX = 16_000
_PROJECT = text("SELECT id, name FROM project WHERE id = :project AND removed_at IS NULL")
_RUN = text(
    """
    SELECT run.short, run.name, run.session_id, run.runs_as_id, project.name AS project,
           project.removed_at IS NULL AS project_there,
           (SELECT count(*) FROM run_target WHERE run_id = run.id) AS total
      FROM run JOIN project ON project.id = run.project_id WHERE run.id = :run
    """
)
_OWN = text("UPDATE run SET session_id = :session WHERE id = :run")
_URL = text("SELECT repository_url FROM project WHERE id = :project")
_LATER = text("UPDATE session SET priority = :priority, title = :title WHERE id = :session")
_THREAD = text(
    """
    SELECT id, place FROM thread WHERE session_id = :session AND surface = :surface
     ORDER BY created_at LIMIT 1
    """
)
_DELIVER = text(
    """
    INSERT INTO delivery (id, surface, delivery_key, message_key, person_id, session_id, prompt_id,
                          text, event, quoted)
    VALUES (:id, :surface, :key, :key, :person, :session, :prompt, :text, :event,
            CAST(:quoted AS jsonb))
    """
)


async def open_for(
    tx: Transaction,
    target: Any,
    who: Standing,
    definition: Definition,
    *,
    rights: Rights,
    agents: Agents,
) -> Opened:
    """Open a session for a target of a run.

    :param target: a row of `target` in bot/automate/runs/sql/running.sql
    :raises TellPerson: they may not, or there is no such project
    :raises NotAsked: a forge has to be asked first
    """
    require(who, Act.PROMPT)
    project = (await tx.execute(_PROJECT, {"project": target.project_id})).one_or_none()
    if project is None:
        raise NotFound(_("the project was removed"))
    need = Permission.WRITE if definition.delivers else Permission.READ
    await rights.check(tx, who, project.id, need)
    place = f"{target.run}/{target.place}/{target.attempt}"
    options = {
        "project": project.name,
        "agent": definition.agent,
        "model": definition.model,
        "size": definition.size,
    }
    found = await threads.open_session(
        tx,
        _message(place, who, ""),
        Actor(id=who.person_id, name=who.name),
        commands.Prompt(text="", options={name: said for name, said in options.items() if said}),
        agents,
    )
    later = {"session": found.session_id, "priority": PRIORITY, "title": definition.name}
    await tx.execute(_LATER, later)
    return Opened(session_id=found.session_id, project_id=project.id)


async def open_own(tx: Transaction, run_id: UUID, agents: Agents, *, targets_min: int = 2) -> None:
    """Open the conversation of a run with several targets, where its reports are answered; once.

    It has no machine as long as nobody says anything in it.

    :param targets_min: fewer have no need of it: the session of the only one is the run's
    """
    run = (await tx.execute(_RUN, {"run": run_id})).one()
    if run.session_id is not None or run.total < targets_min or not run.project_there:
        return
    who = await standing_of(tx, run.runs_as_id)
    options = {"project": run.project}
    found = await threads.open_session(
        tx,
        _message(run.short, who, ""),
        Actor(id=who.person_id, name=who.name),
        commands.Prompt(text="", options=options),
        agents,
    )
    later = {"session": found.session_id, "priority": 0, "title": run.name}
    await tx.execute(_LATER, later)
    await tx.execute(_OWN, {"run": run_id, "session": found.session_id})


async def ask(tx: Transaction, target: Any, who: Standing, asking: Asking) -> UUID:
    """Queue what a step asks for in the target's session; the id of its prompt."""
    kind, said = _asked(asking.step)
    session = await lock_session(tx, target.session_id)
    if session is None:
        raise NotFound(_("this session does not exist"))
    where = {"session": session.id, "surface": SURFACE}
    thread = (await tx.execute(_THREAD, where)).one()
    if session.agent != SHELL and actionable.is_asked(asking.definition, asking.place):
        said = f"{said}\n\n{actionable.ASKED}"
    if isinstance(asking.step, PullRequestStep):
        await _wish(tx, target, session.id, asking.step.pull_request)
    added = await add_prompt(
        tx,
        session,
        Actor(id=who.person_id, name=who.name),
        NewPrompt(
            said=said,
            kind=kind,
            thread_id=thread.id,
            kept_back=asking.definition.delivers and kind != DELIVER,
            read_only=not asking.definition.delivers,
        ),
        surface=SURFACE,
    )
    key = f"{thread.place}/{asking.place}"
    quoted = quoting.kept(quoted_of(target.trigger, key)) if asking.is_first else []
    delivered = {
        "id": new_id(),
        "surface": SURFACE,
        "key": key,
        "person": who.person_id,
        "session": session.id,
        "prompt": added.prompt_id,
        "text": said,
        "event": added.event,
        "quoted": json.dumps(quoted),
    }
    await tx.execute(_DELIVER, delivered)
    return added.prompt_id


def quoted_of(trigger: Mapping[str, Any], key: str) -> tuple[Quoted, ...]:
    """What is known of the cause of a run, as its agent reads it; () where nothing is."""
    facts = {name: value for name, value in trigger.items() if name != "kind" and value}
    if not facts:
        return ()
    shown = json.dumps(facts, indent=1, ensure_ascii=False, default=str)[:FACTS_CHARACTERS_MAX]
    author = str(trigger.get("kind", "trigger"))
    return (Quoted(key=key, author=author, at=datetime.now(UTC), text=shown),)


def _asked(step: PromptStep | ShellStep | PullRequestStep) -> tuple[str, str]:
    """The kind of a step's prompt, and its words."""
    match step:
        case PromptStep():
            return "text", step.prompt
        case ShellStep():
            return "command", step.run
        case PullRequestStep():
            return DELIVER, _("Bring what was changed to the code host.")


async def _wish(tx: Transaction, target: Any, session_id: UUID, asked: PullRequestOptions) -> None:
    repository = await tx.scalar(_URL, {"project": target.project_id})
    await wishes.put(
        tx,
        session_id,
        None,
        repository=repository,
        title=asked.title or None,
        body=asked.body or None,
        draft=asked.draft,
    )


def _message(place: str, who: Standing, said: str) -> IncomingMessage:
    return IncomingMessage(
        surface=SURFACE,
        delivery_key=place,
        message_key=place,
        place=place,
        person_id=who.person_id,
        text=said,
    )
