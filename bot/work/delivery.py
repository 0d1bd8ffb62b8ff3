"""What a turn leaves becomes commits, a branch and a pull request: the effects.

    machine: commit ─▶ pictures of its previews ─▶ bundle ─▶ host: a scratch repository
        ─▶ look at the remote ─▶ decide ─▶ push, by compare-and-swap ─▶ row
        ─▶ pull request, looked up before it is opened
        ─▶ rows and `delivered`, in one transaction under the lease

Each step can be repeated: who takes the turn over finds what was done and does the rest. Nothing
here fails a turn: what can't be delivered stays in the session, and its thread is told why.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

import structlog

from adapters.chat.port import ChatError
from bot.errors import OnaError, TooLarge, TryAgain
from bot.govern.policy import effective
from bot.metrics import DELIVERIES
from bot.store.database import may_pass
from bot.words.catalogue import gettext as _
from bot.work import beside_words, delivery_words, signature
from bot.work.delivery_means import DeliveryMeans
from bot.work.delivery_pulls import link
from bot.work.delivery_run import Ask, DeliveryRun
from bot.work.git import GitFailed, GitOutOfMemory
from bot.work.guest import Machine
from bot.work.lease import Lease, OpenTurn
from bot.work.queue import Event
from bot.work.showing import Showing
from bot.work.workplace import Workplace
from vmpool.errors import MachineError
from vmpool.network.policy import Policy

log = structlog.get_logger(__name__)

DELIVER = "deliver"
"""The kind of a prompt whose turn delivers what the turns before kept back."""
AWAY_SECONDS = 1.0


class Delivery:
    """Delivers the work of turns."""

    def __init__(self, means: DeliveryMeans) -> None:
        self._means = means

    async def environment(self, turn: OpenTurn) -> Mapping[str, str]:
        """What makes the commits of a turn's job its asker's."""
        means = self._means
        person_id, name, url = await means.rows.asker(turn)
        by = await self._author(person_id, name, url)
        return signature.environment(by, email_domain=means.email_domain)

    async def deliver(
        self, lease: Lease, turn: OpenTurn, place: Workplace, ask: Ask
    ) -> Sequence[Event]:
        """Deliver what the turn left; what its thread should know besides.

        While the database is away it waits.

        :param ask: puts a question to people; what it raises is raised here
        :raises LeaseLost: somebody else holds the session, and delivers
        """
        while True:
            try:
                return await self._deliver(lease, turn, place, ask)
            except Exception as error:
                if not may_pass(error) or lease.lost:
                    raise
                log.warning("delivery_waits_for_database")
            await asyncio.sleep(AWAY_SECONDS)

    async def _deliver(
        self, lease: Lease, turn: OpenTurn, place: Workplace, ask: Ask
    ) -> Sequence[Event]:
        means = self._means
        about = await means.rows.about(lease, turn)
        async with means.database.begin() as tx:
            policy = (await effective(tx, lease.project_id, Policy())).document.delivery
        if about.is_private or policy.mode == "none" or place.machine is None:
            return []
        told: list[Event] = []
        branches: dict[str, str] = {}
        showing = Showing(database=means.database, turn=turn, place=place)
        for one in (None, *place.beside):
            of = about if one is None else replace(about, url=one.url, base=one.base_branch)
            run = DeliveryRun(
                means=means,
                lease=lease,
                turn=turn,
                about=of,
                policy=policy,
                by=await self._author(of.person_id, of.name, of.url),
                ask=ask,
                show=showing.show,
                mirror_id=lease.project_id if one is None else one.id,
                beside=one,
                linked=bool(place.beside),
            )
            directory = place.directory if one is None else one.directory
            said = await _delivered(run, place.machine, directory)
            told += said if one is None else [_of(one.name, event) for event in said]
            branches[of.url] = await run.branch()
        if place.beside and not about.read_only:
            await link(means, lease, branches)
        return told

    async def _author(self, person_id: UUID, name: str, url: str) -> signature.Author:
        means, account = self._means, None
        found = means.forge_of(url)
        if found is not None:
            forge = found[0]
            account = await means.rows.account(person_id, forge.surface, forge.host)
        return signature.author(person_id, name, account, email_domain=means.email_domain)


async def _delivered(run: DeliveryRun, machine: Machine, directory: str) -> Sequence[Event]:
    """Deliver one repository; what is to be told besides."""
    try:
        if run.about.read_only:
            return await run.keep(machine, directory)
        told = await run.run(machine, directory)
        DELIVERIES.labels(result=run.result).inc()
        return told
    except OnaError as error:
        return [_undelivered(error)]
    except (ChatError, GitFailed, MachineError, OSError) as error:
        log.warning("not_delivered", why=str(error))
        return [_undelivered(_broken(error))]


def _of(name: str, event: Event) -> Event:
    return Event(
        kind=event.kind, body={**event.body, "text": beside_words.of(name, event.body["text"])}
    )


def _undelivered(error: OnaError) -> Event:
    log.info("undelivered", why=error.happened)
    DELIVERIES.labels(result="failed").inc()
    return Event(kind="undelivered", body={"text": delivery_words.undelivered(error)})


def _broken(error: Exception) -> OnaError:
    if isinstance(error, GitOutOfMemory):
        return TooLarge(
            _("it takes more memory than there is for that to look at what changed"),
            kept=_("it is in the session and in its checkpoint"),
            do=_("ask me to take large files out of the commits"),
        )
    said = str(error) or type(error).__name__
    return TryAgain(
        _("the work could not be brought to the code host: {error}", error=said[:300]),
        kept=_("it is in the session and in its checkpoint"),
        do=_("the next turn tries again"),
    )
