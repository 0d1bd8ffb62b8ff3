"""The rows of commits whose checks are followed, and what is written when they have come to an end.

A result is acted on once: its key is put into the row in the transaction that says or asks what
follows from it, as long as the row is still about the commit that was looked at.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from adapters.chat.incoming import Checked, Quoted
from bot.conversation.prompting import add_prompt
from bot.store.ids import new_id
from bot.store.states import TurnState
from bot.store.transaction import Transaction
from bot.words.titles import tidied
from bot.work import quoting
from bot.work.control import Actor
from bot.work.followed import CI
from bot.work.queue import Event, LockedSession, NewPrompt, append_events

LOOKED_AT_MAX = 50
"""Commits in one round."""

_DUE = text(
    """
    SELECT ci_watch.session_id, ci_watch.repository, ci_watch.ref, ci_watch.commit,
           ci_watch.turn_id, ci_watch.rounds, ci_watch.told,
           extract(epoch FROM now() - ci_watch.since) AS age_seconds,
           turn.state AS turn_state, prompt.author_id, person.name AS author, prompt.thread_id,
           prompt.asker, prompt.language, session.agent, session.project_id
      FROM ci_watch
      JOIN turn ON turn.id = ci_watch.turn_id
      JOIN prompt ON prompt.id = turn.prompt_id
      JOIN person ON person.id = prompt.author_id
      JOIN session ON session.id = ci_watch.session_id
     WHERE NOT ci_watch.over AND ci_watch.due_at <= now() AND turn.undone_by IS NULL
       AND turn.state <> 'running' AND session.state <> 'deleting'
       AND starts_with(ci_watch.repository, :host)
     ORDER BY ci_watch.due_at LIMIT :count
    """
)
_LATER = text(
    """
    UPDATE ci_watch SET due_at = now() + make_interval(secs => :seconds), over = :over,
           state = coalesce(CAST(:state AS varchar), state)
     WHERE session_id = :session AND repository = :repository AND ref = :ref AND commit = :commit
    """
)
_NOW = text(
    """
    UPDATE ci_watch SET due_at = now()
     WHERE commit = :commit AND starts_with(repository, :host) AND NOT over
    """
)
_TAKE = text(
    """
    UPDATE ci_watch SET told = :key, rounds = rounds + :more
     WHERE session_id = :session AND repository = :repository AND ref = :ref AND commit = :commit
       AND told <> :key AND NOT over
    RETURNING rounds
    """
)
_DELIVERY = text(
    """
    INSERT INTO delivery (id, surface, delivery_key, message_key, person_id, session_id, prompt_id,
                          text, event, quoted)
    VALUES (:id, :surface, :key, :key, :person, :session, :prompt, :text, :event,
            CAST(:quoted AS jsonb))
    """
)


@dataclass(frozen=True, kw_only=True)
class Failing:
    """Lines of what a failed check wrote."""

    check: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A commit that is looked at."""

    session_id: UUID
    repository: str
    ref: str
    commit: str
    turn_id: UUID
    rounds: int
    told: str
    age_seconds: float
    turn_state: TurnState
    author_id: UUID
    """Who asked for the turn that pushed it."""
    author: str
    thread_id: UUID | None
    asker: str
    language: str
    agent: str
    project_id: UUID

    @property
    def branch(self) -> str:
        """Without `refs/heads/`."""
        return self.ref.removeprefix("refs/heads/")

    @property
    def name(self) -> str:
        """Of the repository, on its forge."""
        return self.repository.partition(":")[2].partition("/")[2]

    @property
    def _key(self) -> dict[str, Any]:
        return {
            "session": self.session_id,
            "repository": self.repository,
            "ref": self.ref,
            "commit": self.commit,
        }


async def due(tx: Transaction, host: str) -> list[Watched]:
    """The commits on a forge that are to be looked at now.

    :param host: what their repositories begin with: `surface:host/`
    """
    rows = (await tx.execute(_DUE, {"host": host.lower(), "count": LOOKED_AT_MAX})).mappings()
    return [
        Watched(
            **{
                **row,
                "turn_state": TurnState(row["turn_state"]),
                "age_seconds": float(row["age_seconds"]),
            }
        )
        for row in rows
    ]


async def look_again(
    tx: Transaction, watched: Watched, *, seconds: float, over: bool, state: str | None = None
) -> None:
    """Look at it again after so long, or never; unless it has a newer commit by now.

    :param state: of its checks; None: they could not be seen
    """
    await tx.execute(_LATER, {**watched._key, "seconds": seconds, "over": over, "state": state})


async def look_now(tx: Transaction, checked: Checked) -> None:
    """Look at a commit as soon as can be: one of its checks has ended."""
    await tx.execute(_NOW, {"host": f"{checked.surface}:", "commit": checked.commit})


async def take(tx: Transaction, watched: Watched, key: str, *, prompts: bool) -> int | None:
    """Note that a result is acted on; how many rounds there were with it. None: it was before, or
    the branch has a newer commit.

    :param prompts: it becomes a prompt
    """
    asked = {**watched._key, "key": key, "more": int(prompts)}
    rounds = (await tx.execute(_TAKE, asked)).scalar_one_or_none()
    return None if rounds is None else int(rounds)


async def tell(
    tx: Transaction,
    watched: Watched,
    state: str,
    said: str,
    *,
    names: Sequence[str],
    failing: Sequence[Failing] = (),
) -> None:
    """Say in the session's threads what became of the checks.

    :param failing: with these lines of what they wrote
    """
    body: dict[str, object] = {
        "state": state,
        "repository": watched.name,
        "branch": watched.branch,
        "commit": watched.commit,
        "checks": [tidied(name) for name in names],
        "text": said,
    }
    if failing:
        body["failing"] = [{"check": tidied(one.check), "text": one.text} for one in failing]
        # More people may read other threads of the session.
        body["failing_in"] = watched.thread_id
    await append_events(tx, watched.session_id, [Event(kind=CI, body=body)])


async def prompt(
    tx: Transaction,
    session: LockedSession,
    watched: Watched,
    *,
    key: str,
    said: str,
    quoted: Sequence[Quoted],
) -> None:
    """Queue a prompt as from the asker of the turn whose commit it is about.

    Its delivery is unique by its key: there is one for a result, whoever writes it.
    """
    assert watched.thread_id is not None
    added = await add_prompt(
        tx,
        session,
        Actor(id=watched.author_id, name=watched.author),
        NewPrompt(
            said=said,
            kind="text",
            thread_id=watched.thread_id,
            asker=watched.asker,
            language=watched.language,
        ),
        surface=CI,
    )
    delivery = {
        "id": new_id(),
        "surface": CI,
        "key": key,
        "person": watched.author_id,
        "session": session.id,
        "prompt": added.prompt_id,
        "text": said,
        "event": added.event,
        "quoted": json.dumps(quoting.kept(quoted)),
    }
    await tx.execute(_DELIVERY, delivery)
