"""What is known of a turn that is to be delivered, and what is written down of what was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import text

from adapters.forge.port import PullRequest
from bot.store.database import Database
from bot.store.ids import new_id
from bot.store.transaction import Transaction
from bot.work.followed import follow
from bot.work.lease import Lease, OpenTurn
from bot.work.pull_body import Did, Picture
from bot.work.queue import Event, append_held, hold
from bot.work.scratch import Diff
from bot.work.signature import ForgeAccount
from bot.work.tools_ran import tests_without_secrets, tools_of
from bot.work.wishes import Wish, wishes_of
from vmpool.network.forge.pushing import ZERO

_ABOUT = text(
    """
    SELECT CASE WHEN session.narrow THEN '' ELSE session.title END AS title, session.narrow,
           session.private_to IS NOT NULL AS is_private, prompt.read_only,
           coalesce(session.base_branch, project.base_branch) AS base,
           project.repository_url AS url, person.id AS person_id, person.name
      FROM session
      JOIN project ON project.id = session.project_id
      JOIN prompt ON prompt.id = :prompt
      JOIN person ON person.id = prompt.author_id
     WHERE session.id = :session
    """
)
_WHOSE = text(
    """
    SELECT person.id, person.name, project.repository_url AS url
      FROM prompt JOIN person ON person.id = prompt.author_id
      JOIN session ON session.id = prompt.session_id
      JOIN project ON project.id = session.project_id
     WHERE prompt.id = :prompt
    """
)
_ACCOUNT = text(
    """
    SELECT external_id, name FROM identity
     WHERE person_id = :person AND surface = :known ORDER BY id LIMIT 1
    """
)
_LAST_WORDS = text(
    """
    SELECT coalesce(string_agg(body ->> 'text', '' ORDER BY number), '') FROM turn_event
     WHERE session_id = :session AND turn_id = :turn AND kind = 'text'
       AND number > coalesce((SELECT max(number) FROM turn_event
                               WHERE session_id = :session AND turn_id = :turn
                                 AND kind IN ('tool', 'output')), 0)
    """
)
_PICTURES = text(
    """
    SELECT id, caption FROM picture
     WHERE turn_id = :turn AND posted_at IS NOT NULL ORDER BY posted_at, id
    """
)
_NARROW = text("SELECT narrow FROM session WHERE id = :session")
_EARLIER = text(
    """
    SELECT turn.id, person.name AS by,
           (SELECT coalesce(string_agg(delivery.text, E'\\n' ORDER BY delivery.event), '')
              FROM delivery WHERE delivery.prompt_id = prompt.id) AS asked
      FROM turn JOIN prompt ON prompt.id = turn.prompt_id
      JOIN person ON person.id = prompt.author_id
     WHERE turn.session_id = :session AND turn.id <> :turn AND turn.undone_by IS NULL
       AND turn.started_at > coalesce((SELECT started_at FROM turn
                                        WHERE id = CAST(:after AS uuid)), '-infinity')
       AND EXISTS (SELECT FROM turn_event
                    WHERE turn_event.session_id = :session AND turn_event.turn_id = turn.id
                      AND turn_event.kind = 'delivered' AND turn_event.body ->> 'url' = :url)
     ORDER BY turn.started_at DESC LIMIT :most
    """
)
_BRANCH = text(
    """
    SELECT commit, told FROM branch
     WHERE session_id = :session AND repository = :repository AND ref = :ref
    """
)
_REFS = text("SELECT ref FROM branch WHERE session_id = :session AND repository = :repository")
_LEFT = text(
    """
    INSERT INTO branch (session_id, repository, ref, commit)
    VALUES (:session, :repository, :ref, :commit)
    ON CONFLICT (session_id, repository, ref)
    DO UPDATE SET commit = excluded.commit, seen_at = now()
    """
)
_TOLD = text(
    """
    UPDATE branch SET told = :commit
     WHERE session_id = :session AND repository = :repository AND ref = :ref
    """
)
_PUT = text(
    """
    INSERT INTO pull_request (id, session_id, surface, repository, number, url, state, draft, head,
                              base, opened_by, asker_id, by_asker, offer)
    VALUES (:id, :session, :surface, :repository, :number, :url, :state, :draft, :head, :base,
            :opened_by, :asker, :by_asker,
            :offer AND NOT EXISTS (SELECT FROM pull_request
                                    WHERE asker_id = CAST(:asker AS uuid)
                                      AND surface = CAST(:surface AS varchar)))
    ON CONFLICT (surface, repository, number) DO UPDATE
       SET state = excluded.state, draft = excluded.draft, base = excluded.base, seen_at = now()
    """
)
_THREAD = text(
    """
    INSERT INTO thread (id, session_id, surface, place, language, replied_to)
    SELECT :id, session.id, :surface, :place, '', session.event_last
      FROM session WHERE session.id = :session
    ON CONFLICT (surface, place) DO NOTHING
    """
)
_DIFF = text(
    """
    INSERT INTO turn_diff (id, session_id, turn_id, name, data)
    VALUES (:id, :session, :turn, :name, :data)
    """
)
EARLIER_MAX = 20
"""Turns of which a pull request tells besides the newest; those before are in its commits."""
_ASIDE = text("UPDATE session SET branch = :branch WHERE id = :session")


@dataclass(frozen=True, kw_only=True)
class About:
    """A turn and what it belongs to."""

    title: str
    """Empty, where who reads the repository may not see it."""
    is_private: bool
    base: str | None
    """The branch that its work is to be merged into; None: the repository's default one."""
    url: str
    """Of the repository."""
    person_id: UUID
    name: str
    """Of who asked."""
    narrow: bool = False
    """Who reads the repository may not see what was said in the session."""
    read_only: bool = False
    """The turn changes nothing outside of its machine."""

    def told(self, said: str) -> str:
        """What a commit or a pull request says of something that was said in the session."""
        return "" if self.narrow else said


@dataclass(frozen=True, kw_only=True)
class Left:
    """How a session left one of its branches."""

    commit: str = ZERO
    """`ZERO`: it never pushed there."""
    told: str | None = None
    """The commit of which people were told last."""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A branch's pull request, as far as there is one."""

    pull: PullRequest | None = None
    is_new: bool = False
    by_person: bool = False
    """Their own token opened it."""
    offer: bool = False
    """They have no token here, and could have."""
    why_not: str = ""
    """Why there is none, though there should be."""

    @property
    def told(self) -> Mapping[str, object]:
        """What an event says of it."""
        pull = self.pull
        return {
            "url": pull.url if pull else None,
            "number": pull.number if pull else None,
            "draft": pull.draft if pull else None,
            "opened": self.is_new,
            "why_not": self.why_not,
        }


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """What was delivered, as it is written down."""

    repository: str
    """As `branch` rows call it."""
    branch: str
    commit: str
    event: Event
    opened: Opened
    surface: str = ""
    """Of the forge, where there is one."""
    of: str = ""
    """The repository as its forge spells it."""
    asker_id: UUID
    diff: Diff | None = None
    """What the turn changed; None: that is not shown."""
    diff_name: str = ""


class DeliveryRows:
    """Reads and writes them; each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def about(self, lease: Lease, turn: OpenTurn) -> About:
        """What the turn belongs to."""
        asked = {"session": lease.session_id, "prompt": turn.prompt_id}
        return About(**(await self._database.run(_ABOUT, asked)).one()._asdict())

    async def asker(self, turn: OpenTurn) -> tuple[UUID, str, str]:
        """Who asked for a turn, by what name, and the address of the project's repository."""
        row = (await self._database.run(_WHOSE, {"prompt": turn.prompt_id})).one()
        return row.id, row.name, row.url

    async def account(self, person_id: UUID, surface: str, host: str) -> ForgeAccount | None:
        """A person's account on a forge; None: none is known."""
        asked = {"person": person_id, "known": f"{surface}:{host}"}
        row = (await self._database.run(_ACCOUNT, asked)).one_or_none()
        if row is None:
            return None
        return ForgeAccount(surface=surface, host=host, id=row.external_id, login=row.name)

    async def did(self, lease: Lease, turn: OpenTurn, by: str) -> Did:
        """What a turn did. :param by: who asked"""
        async with self._database.begin() as tx:
            done = await _did(tx, lease.session_id, turn.id, asked=turn.text, by=by)
        return await _tellable(done)

    async def earlier(
        self, lease: Lease, turn: OpenTurn, url: str, *, after: UUID | None = None
    ) -> Sequence[Did]:
        """What earlier turns did that went into a pull request, the oldest first.

        :param url: of the pull request
        :param after: only turns after this one
        """
        asked = {
            "session": lease.session_id,
            "turn": turn.id,
            "url": url,
            "after": after,
            "most": EARLIER_MAX,
        }
        async with self._database.begin() as tx:
            rows = (await tx.execute(_EARLIER, asked)).all()
            done = [
                await _did(tx, lease.session_id, row.id, asked=row.asked, by=row.by)
                for row in reversed(rows)
            ]
        return [await _tellable(one) for one in done]

    async def wish(self, session_id: UUID, url: str) -> Wish | None:
        """What the agent wants the pull request of a repository to say."""
        async with self._database.begin() as tx:
            found = await wishes_of(tx, session_id)
        return next((one for one in found if one.repository == url), None)

    async def left(self, session_id: UUID, repository: str, branch: str) -> Left:
        """How the session left a branch."""
        row = (
            await self._database.run(_BRANCH, _names(session_id, repository, branch))
        ).one_or_none()
        return Left() if row is None else Left(commit=row.commit, told=row.told)

    async def refs(self, session_id: UUID, repository: str) -> Sequence[str]:
        """The branches of a repository that the session pushed, whole."""
        asked = {"session": session_id, "repository": repository.lower()}
        return [str(one) for one in (await self._database.run(_REFS, asked)).scalars()]

    async def pushed(
        self,
        lease: Lease,
        repository: str,
        branch: str,
        commit: str,
        *,
        has_checks: bool,
        is_own: bool = True,
    ) -> None:
        """The session's branch is at this commit now. :raises LeaseLost:

        :param has_checks: it is on a forge, which runs some on it
        :param is_own: it is the project's own repository
        """
        names = _names(lease.session_id, repository, branch)
        async with self._database.begin() as tx:
            await hold(tx, lease.key)
            await tx.execute(_LEFT, {**names, "commit": commit})
            if is_own and branch != lease.branch:
                await tx.execute(_ASIDE, {"session": lease.session_id, "branch": branch})
            if has_checks:
                ref = f"refs/heads/{branch}"
                await follow(tx, lease.session_id, repository, ref, commit)
        if is_own:
            lease.branch = branch

    async def delivered(self, lease: Lease, turn: OpenTurn, done: Delivered) -> None:
        """Write down what was delivered and tell people, once. :raises LeaseLost:"""
        names = _names(lease.session_id, done.repository, done.branch)
        async with self._database.begin() as tx:
            await hold(tx, lease.key)
            # What is not complete is tried again by the next turn.
            if not done.opened.why_not:
                await tx.execute(_TOLD, {**names, "commit": done.commit})
            if done.opened.pull is not None:
                await _put(tx, lease.session_id, done, done.opened.pull)
            event = done.event
            if done.diff is not None:
                kept = await _keep(tx, lease.session_id, turn.id, done.diff_name, done.diff)
                event = replace(event, body={**event.body, "changes": kept})
            await append_held(tx, lease.key, [event], turn_id=turn.id)


async def _keep(
    tx: Transaction, session_id: UUID, turn_id: UUID, name: str, diff: Diff
) -> Mapping[str, object]:
    """Keep what a turn changed; what its event says of it."""
    row = {"id": new_id(), "session": session_id, "turn": turn_id, "name": name}
    await tx.execute(_DIFF, {**row, "data": diff.data})
    return {"id": row["id"], "whole": diff.is_whole}


async def _did(tx: Transaction, session_id: UUID, turn_id: UUID, *, asked: str, by: str) -> Did:
    """With the agent's last words, and what it did with tools and showed, in order.

    Of a narrow session nothing that was said or shown.
    """
    of = {"session": session_id, "turn": turn_id}
    tools = await tools_of(tx, session_id, turn_id)
    if await tx.scalar(_NARROW, {"session": session_id}):
        return Did(what="", asked="", by=by, tools=tools)
    words = str(await tx.scalar(_LAST_WORDS, of))
    shown = (await tx.execute(_PICTURES, {"turn": turn_id})).all()
    pictures = [Picture(name=str(row.id), caption=row.caption) for row in shown]
    return Did(what=words, asked=asked, by=by, tools=tools, pictures=pictures)


async def _tellable(done: Did) -> Did:
    """Of what it did with tools that which a pull request may tell."""
    return replace(done, tools=await tests_without_secrets(done.tools))


async def _put(tx: Transaction, session_id: UUID, done: Delivered, pull: PullRequest) -> None:
    values = {
        "id": new_id(),
        "session": session_id,
        "surface": done.surface,
        "repository": done.of,
        "number": pull.number,
        "url": pull.url,
        "state": pull.state,
        "draft": pull.draft,
        "head": pull.head,
        "base": pull.base,
        "opened_by": pull.author,
        "asker": done.asker_id,
        "by_asker": done.opened.by_person,
        "offer": done.opened.offer,
    }
    await tx.execute(_PUT, values)
    thread = {"id": new_id(), "session": session_id, "surface": done.surface, "place": pull.place}
    await tx.execute(_THREAD, thread)


def _names(session_id: UUID, repository: str, branch: str) -> dict[str, object]:
    return {
        "session": session_id,
        "repository": repository.lower(),
        "ref": f"refs/heads/{branch}",
    }
