"""Grants: issued when a turn or a build begins, renewed while it runs, revoked when it ends.

begin ─▶ rows ─▶ token ─▶ every kind at once ─▶ recorded ─▶ in memory ─▶ … ─▶ end: revoked
                                                                                ▲
sweep, on a clock: whatever no lease holds any more, whoever left it ───────────┘
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from uuid import UUID

import structlog

from adapters.chat.port import Deadline
from adapters.vault.errors import VaultAway, VaultError
from adapters.vault.port import Issuer, Trail, Wanted
from adapters.vault.tokens import Tokens
from bot.govern.grant_records import BuildHolder, Holder, Stale
from bot.govern.grant_rows import GrantRows
from bot.govern.issuance import REVOKE_SECONDS, Issuance, Means
from bot.govern.turn_grants import TurnGrants
from bot.store.database import Database
from bot.store.states import GrantState
from bot.words.catalogue import gettext as _
from scheduler.chores import Chore

log = structlog.get_logger(__name__)

SWEEP_SECONDS = 5.0
SWEPT_MAX = 100
"""Grants that a sweep ends at once; then it goes on with the next ones."""
CLOSE_SECONDS_MAX = 10.0


class Grants:
    """Begins and ends the grants of turns in one process, and sweeps up after all of them."""

    def __init__(
        self,
        database: Database,
        tokens: Tokens,
        issuers: Mapping[str, Issuer],
        *,
        environment: str = "",
        own: Callable[[Sequence[str]], Sequence[Wanted]] = lambda _urls: (),
    ) -> None:
        """`issuers` by the kinds of grant that projects may ask for.

        :param own: what is granted for repositories, by their addresses, its own one first, though
            no policy declares it
        """
        self.memory = TurnGrants()
        self._rows = GrantRows(database)
        self._means = Means(
            rows=self._rows,
            tokens=tokens,
            issuers=issuers,
            memory=self.memory,
            environment=environment,
            own=own,
        )
        self._ending: set[asyncio.Task[None]] = set()

    def begin(self, holder: Holder | BuildHolder, *, turn_id: UUID | None) -> Issuance:
        """Begin to issue what the turn under a lease gets; `Issuance.ready` waits for it."""
        issuance = Issuance(self._means, holder, turn_id=turn_id, ending=self._ending)
        issuance.begin()
        return issuance

    @asynccontextmanager
    async def of_build(self, template_id: UUID, machine_id: UUID) -> AsyncIterator[None]:
        """What the project's policy grants to builds is added for that machine while inside.

        When it returns, their issuers are known to refuse what can be revoked of it.

        :raises VaultError: it could not be had, or it is not known to be revoked
        :raises NotHeld: the build is over, or halted
        """
        holder = BuildHolder(template_id=template_id, machine_id=machine_id)
        issuance = self.begin(holder, turn_id=None)
        try:
            await issuance.ready()
            await issuance.start(None, None)
            yield
        finally:
            await issuance.end(seconds_max=2 * REVOKE_SECONDS)
        if not issuance.had_any:
            return
        if not issuance.is_revoked:
            raise VaultAway(_("what set-up had is not known to be revoked"))
        with suppress(VaultError):
            await self.forget(template_id)

    async def is_told(self, session_id: UUID, notice: str) -> bool:
        """Whether a session was told that before."""
        return await self._rows.is_told(session_id, notice)

    async def may_rest(self, session_id: UUID) -> bool:
        """Whether nothing that still works can be in the session's machine."""
        # What can't be revoked lives for minutes and is bound to an audience or a principal.
        kinds = [kind for kind, issuer in self._means.issuers.items() if issuer.by_token]
        return not await self._rows.handed_alive(session_id, kinds)

    async def forget(self, session_id: UUID) -> None:
        """Remove from Vault what it knows of a session or a build. :raises VaultError:"""
        await self._means.tokens.forget(session_id, Deadline.after(REVOKE_SECONDS))

    def sweeping(self, wake: asyncio.Event | None = None) -> Chore:
        """The clock on which each process sweeps. `wake`: something ended many at once."""
        return Chore(name="grants", seconds=SWEEP_SECONDS, run=self.sweep, wake=wake)

    async def sweep(self) -> int:
        """End what no lease holds any more; how many are ended for good."""
        await self._rows.remove_old()
        ended, left, is_last = 0, set[UUID](), False
        while not is_last:
            stale = await self._rows.stale(SWEPT_MAX, without=left)
            over = await asyncio.gather(*(self._sweep(one) for one in stale))
            # What can't be ended now is for the next sweep, and keeps none from being ended.
            left |= {one.id for one, is_over in zip(stale, over, strict=True) if not is_over}
            ended += sum(over)
            is_last = len(stale) < SWEPT_MAX
        return ended

    async def close(self) -> None:
        """Let what is being revoked be revoked, for a while; the sweep does the rest."""
        if self._ending:
            await asyncio.wait(set(self._ending), timeout=CLOSE_SECONDS_MAX)

    async def _sweep(self, stale: Stale) -> bool:
        try:
            refused = await self._refused(stale)
        except VaultError as error:
            log.warning("grant_not_revoked", grant=str(stale.id), kind=stale.kind, why=str(error))
            if not stale.long_over:
                return False
            refused = False
        if not refused and not stale.over:
            return False
        state = GrantState.REVOKED if refused else GrantState.ENDED
        await self._rows.over(state, [stale.id])
        log.info("grant_swept", grant=str(stale.id), kind=stale.kind, state=state.value)
        return True

    async def _refused(self, stale: Stale) -> bool:
        deadline = Deadline.after(REVOKE_SECONDS)
        if stale.kind == "token":
            accessor = stale.trace.get("accessor")
            if accessor is not None:
                await self._means.tokens.revoke(accessor, deadline)
            return accessor is not None
        issuer = self._means.issuers.get(stale.kind)
        if issuer is None:
            return False
        trail = Trail(id=stale.id, options=stale.options, trace=stale.trace)
        return await issuer.revoke(trail, deadline)
