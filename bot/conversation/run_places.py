"""Where a run reports: what a definition names, and the threads that stand for it.

    slack:#name ─▶ (the surface, outside of a transaction) address of the channel ─▶ a root thread

Somebody has to stand for it who is in the channel: whoever began the run, in whose name it works,
or who approved the automation. Posts of a root thread stand in the channel itself, and nothing of
its session is posted there but what the run says; a reply below one of them continues the session.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import text

from adapters.chat.port import ChatError, ChatPort, Deadline, FindsChannels
from bot.conversation.threads import EVER
from bot.store.database import Database
from bot.store.ids import new_id
from bot.store.transaction import Transaction
from bot.words.catalogue import N_

log = structlog.get_logger(__name__)

ASK_SECONDS = 10.0
NO_PLACE = N_("it is no place, such as slack:#name")
NO_SURFACE = N_("ona is not connected there")
NO_CHANNEL = N_("nobody who stands for this is in a channel of that name")
AWAY = N_("the surface did not answer")

_ACCOUNTS = text(
    """
    SELECT person_id, external_id FROM identity
     WHERE split_part(surface, ':', 1) = :surface AND person_id = ANY(:people)
     ORDER BY array_position(CAST(:people AS uuid[]), person_id), external_id
    """
)
_STAND = text(
    """
    SELECT run.started_by, run.runs_as_id, automation.approved_by, automation.creator_id
      FROM run LEFT JOIN automation ON automation.id = run.automation_id WHERE run.id = :run
    """
)
_KNOWN = text(
    """
    SELECT count(*) FROM thread
     WHERE session_id = :session AND CAST(id AS text) = ANY(CAST(:threads AS text[]))
    """
)
_ROOT = text(
    """
    INSERT INTO thread (id, session_id, surface, place, language, replied_to)
    VALUES (:id, :session, :surface, :place, :language, :ever)
    ON CONFLICT (surface, place) DO UPDATE SET surface = excluded.surface
    RETURNING id
    """
)
_REPORTS = text("UPDATE run SET reports = CAST(:reports AS jsonb) WHERE id = :run")


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A channel in which something is posted."""

    surface: str
    address: str
    said: str
    """As the definition names it."""


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """What became of the places that a definition names."""

    channels: tuple[Channel, ...] = ()
    lost: Mapping[str, str] = field(default_factory=dict)
    """Why there is none, by what was said; a message's id."""


class RunPlaces:
    """Finds the channels that definitions name."""

    def __init__(self, database: Database, ports: Mapping[str, ChatPort]) -> None:
        """`ports` by surface."""
        self._database = database
        self._ports = ports

    async def people_of(self, run_id: UUID) -> Sequence[UUID]:
        """Who stands for what a run posts, in this order: a service account is in no channel."""
        row = (await self._database.run(_STAND, {"run": run_id})).one_or_none()
        return [one for one in row or () if one is not None]

    async def resolve(self, said: Collection[str], people: Sequence[UUID]) -> Resolved:
        """Find them, outside of any transaction.

        :param said: such as `slack:#name`, or an address instead of the name
        :param people: who may stand for it, the first of them who has an account there does
        """
        channels: list[Channel] = []
        lost: dict[str, str] = {}
        for one in dict.fromkeys(said):
            surface, name = read(one)
            found, why = await self._channel(surface, name, people)
            if found:
                channels.append(Channel(surface=surface, address=found, said=one))
            else:
                log.info("no_place_to_report", place=one, why=why)
                lost[one] = why
        return Resolved(channels=tuple(channels), lost=lost)

    async def _channel(self, surface: str, name: str, people: Sequence[UUID]) -> tuple[str, str]:
        if not name:
            return "", NO_PLACE
        port: object = self._ports.get(surface)
        if not isinstance(port, FindsChannels):
            return "", NO_SURFACE
        wanted = {"surface": surface, "people": list(people)}
        for row in (await self._database.run(_ACCOUNTS, wanted)).all():
            try:
                soon = Deadline.after(ASK_SECONDS)
                address = await port.channel_of("", row.external_id, name, soon)
            except ChatError as error:
                log.info("channel_not_found", channel=name, why=str(error))
                return "", AWAY
            if address:
                return address, ""
        return "", NO_CHANNEL


def read(said: str) -> tuple[str, str]:
    """Surface, and name or id of the channel, of what a definition says; empty: it is none; pure.

    An address, such as `slack:T024BE7LD/C024BE91L`, ends with the id.
    """
    surface, _, channel = said.strip().partition(":")
    name = channel.strip().rpartition("/")[2].removeprefix("#")
    return (surface.strip().casefold(), name) if name else ("", "")


async def root(tx: Transaction, session_id: UUID, channel: Channel, language: str) -> UUID:
    """The thread of the session whose posts stand in the channel itself."""
    values = {
        "id": new_id(),
        "session": session_id,
        "surface": channel.surface,
        "place": f"{channel.address}/~{session_id}",
        "language": language,
        "ever": EVER,
    }
    thread_id: UUID = await tx.scalar(_ROOT, values)
    return thread_id


async def stands(tx: Transaction, run: Mapping[str, Any], places: Resolved) -> bool:
    """Whether a run reports in just these places already, in the name of its session."""
    known = {one["place"]: one.get("thread") for one in run["reports"]}
    channels = {one.said for one in places.channels if run["session_id"]}
    threads = [thread for thread in known.values() if thread]
    if set(known) != channels | set(places.lost) or len(threads) != len(channels):
        return False
    wanted = {"session": run["session_id"], "threads": threads}
    return not threads or int(await tx.scalar(_KNOWN, wanted)) == len(threads)


async def keep(
    tx: Transaction, run: Mapping[str, Any], reports: Sequence[Mapping[str, str]]
) -> None:
    """Let a run report in these threads: {thread, place} of each."""
    await tx.execute(_REPORTS, {"run": run["id"], "reports": json.dumps(list(reports))})
