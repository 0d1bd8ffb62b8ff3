"""The grants of one run of a turn, or of a build, from its token to the last revocation."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic
from typing import TypeGuard
from uuid import UUID

import structlog

from adapters.chat.port import Deadline
from adapters.vault.errors import Misasked, Missing, Unreachable, VaultAway, VaultError
from adapters.vault.port import (
    Bearer,
    Issuer,
    Mode,
    Renews,
    Request,
    Trail,
    TurnToken,
    Wanted,
)
from adapters.vault.prepare import TURN_POLICY
from adapters.vault.tokens import Tokens
from bot.govern import grant_decisions as decisions
from bot.govern.grant_decisions import Handed, Living, Own
from bot.govern.grant_records import BuildHolder, Holder, Planned, Recorded, Whose
from bot.govern.grant_rows import GrantRows
from bot.govern.turn_grants import TurnGrants
from bot.store.states import GrantState

log = structlog.get_logger(__name__)

ISSUE_SECONDS = 10.0
REVOKE_SECONDS = 7.0
"""An issuer that does not answer by then is asked again by the sweep, before a minute is over."""
END_SECONDS_MAX = 3.0
"""A turn's end waits so long for its grants; then they are revoked behind it."""
AGAIN_SECONDS = 5.0

Place = Callable[[Handed], Awaitable[None]]
"""Puts the handed grants into the machine, in place of those before."""


@dataclass(frozen=True, kw_only=True)
class Means:
    """What grants are issued with."""

    rows: GrantRows
    tokens: Tokens
    issuers: Mapping[str, Issuer]
    """By kind."""
    memory: TurnGrants
    environment: str = ""
    """What the installation is called in identity tokens."""
    own: Own = lambda _urls: ()


class Issuance:
    """What one run of a turn got, or a build; nothing of it outlives `end`."""

    def __init__(
        self,
        means: Means,
        holder: Holder | BuildHolder,
        *,
        turn_id: UUID | None,
        ending: set["asyncio.Task[None]"],
    ) -> None:
        """`ending` keeps the revocations that go on behind the turn."""
        self._means = means
        self._holder = holder
        self._turn_id = turn_id
        self._ending = ending
        self._whose: Whose | None = None
        self._token: TurnToken | None = None
        self._token_row: UUID | None = None
        self._token_due = math.inf
        self._living: list[Living] = []
        self._former: list[Living] = []
        """Those in whose place another one was issued, until that one is in use."""
        self._issuing: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._replacing: asyncio.Task[None] | None = None
        self._place: Place | None = None
        self._over = False
        self.is_revoked = False
        """Whether all that can be revoked of it is; known after `end`."""
        self._renewals: dict[UUID, int] = {}
        self.without: tuple[tuple[Wanted, VaultError], ...] = ()
        """What no policy declares and it does not get, and why; known when it is `ready`."""

    def begin(self) -> None:
        """Begin to issue, beside whatever else makes the turn ready."""
        self._issuing = asyncio.create_task(self._issue())
        self._issuing.add_done_callback(_seen)

    async def ready(self) -> None:
        """Return when everything is issued.

        :raises VaultError: a declared grant could not be had; `end` revokes the others
        :raises NotHeld: the lease is lost
        """
        assert self._issuing is not None
        await asyncio.shield(self._issuing)

    @property
    def had_any(self) -> bool:
        """Whether it got a token, so that there is something to be ended; known when `ready`."""
        return self._token is not None

    @property
    def prompt_id(self) -> UUID | None:
        """Whose turn it was taken for; known when it is `ready`."""
        return self._whose.prompt_id if self._whose else None

    @property
    def handed(self) -> Handed:
        """What has to lie in the machine."""
        return decisions.handed(self._living)

    async def start(self, turn_id: UUID | None, place: Place | None) -> None:
        """The turn has begun: hand out what it got, and keep it alive until the end.

        :param turn_id: None: it is a build
        """
        self._turn_id, self._place = turn_id, place
        if self._token_row is None:
            self._show()
            return
        if turn_id is not None:
            rows = [self._token_row, *(one.row for one in self._living)]
            await self._means.rows.of_turn(turn_id, rows)
        if place is not None and self.handed:
            await place(self.handed)
        self._show()
        self._refreshing = asyncio.create_task(self._refresh_for_ever())

    async def end(self, *, seconds_max: float = END_SECONDS_MAX) -> None:
        """Give everything up: at once in our memory, with the issuers as soon as they answer.

        :param seconds_max: it waits so long for them
        """
        if self._over:
            return
        self._over = True
        self._means.memory.drop(self._holder.key, self)
        if self._refreshing is not None:
            self._refreshing.cancel()
            with suppress(asyncio.CancelledError):
                await self._refreshing
        ending = asyncio.create_task(self._end())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        await asyncio.wait({ending}, timeout=seconds_max)

    # -- issuing ----------------------------------------------------------------------------

    async def _issue(self) -> None:
        self._whose = whose = await self._means.rows.whose(self._holder)
        declared, own = decisions.wanted_by(whose, self._means.own)
        wanted = (*declared, *own)
        issuers = [decisions.issuer_of(one, self._means.issuers) for one in wanted]
        if not wanted:
            return
        token_row = decisions.planned_token()
        planned = [
            decisions.planned(one, issuer) for one, issuer in zip(wanted, issuers, strict=True)
        ]
        await self._means.rows.plan(self._holder, [token_row, *planned], self._turn_id)
        self._token_row = token_row.id
        deadline = Deadline.after(ISSUE_SECONDS)
        try:
            self._token = await self._ask_token(whose, deadline)
        except VaultError:
            # Nobody was told of a token, nor was anything asked for with it.
            await self._means.rows.forget([token_row.id, *(one.id for one in planned)])
            raise
        got = await self._issue_all(planned, issuers, deadline)
        without = [*zip(own, got[len(declared) :], strict=True)]
        self.without = tuple((one, no) for one, no in without if _is_no(no))
        refused = [error for _, error in self.without]
        for failed in got:
            if isinstance(failed, BaseException) and failed not in refused:
                raise failed
        # What can't be added is known now, and not at the first request.
        decisions.routes(self._living)
        await self._extend(deadline, first=True)

    async def _issue_all(
        self, planned: Sequence[Planned], issuers: Sequence[Issuer], deadline: Deadline
    ) -> Sequence[Living | BaseException]:
        """Issue them at once and write down what was; what was not is its error."""
        got = await asyncio.gather(
            *(
                self._one(plan, issuer, deadline)
                for plan, issuer in zip(planned, issuers, strict=True)
            ),
            return_exceptions=True,
        )
        self._living = [one for one in got if isinstance(one, Living)]
        await self._record(self._living, with_token=True)
        await self._means.rows.forget(
            [
                plan.id
                for plan, one in zip(planned, got, strict=True)
                # What was not answered may be there.
                if isinstance(one, VaultError) and not isinstance(one, Unreachable)
            ]
        )
        return got

    async def _ask_token(self, whose: Whose, deadline: Deadline) -> TurnToken:
        policies = (TURN_POLICY, f"ona-project-{whose.project}")
        return await self._means.tokens.issue(self._bearer(whose), policies, deadline)

    def _bearer(self, whose: Whose) -> Bearer:
        return Bearer(
            session_id=self._holder.bearer_id,
            session=whose.short,
            project=whose.project,
            person=str(whose.person_id or ""),
            repository=whose.repository,
            environment=self._means.environment,
        )

    async def _one(self, plan: Planned, issuer: Issuer, deadline: Deadline) -> Living:
        assert self._whose is not None
        assert self._token is not None
        assert plan.wanted is not None
        began = monotonic()
        request = Request(
            id=plan.id, wanted=plan.wanted, bearer=self._bearer(self._whose), token=self._token
        )
        issued = await issuer.issue(request, deadline)
        return Living(
            row=plan.id,
            wanted=plan.wanted,
            issuer=issuer,
            issued=issued,
            due=decisions.due(issued, began),
        )

    async def _record(self, living: Sequence[Living], *, with_token: bool = False) -> None:
        recorded = [
            Recorded(
                id=one.row, trace=one.issued.trace, seconds=decisions.finite(one.issued.seconds)
            )
            for one in living
        ]
        if with_token and self._token is not None and self._token_row is not None:
            recorded.append(decisions.recorded_token(self._token_row, self._token))
        await self._means.rows.record(recorded)

    async def _extend(self, deadline: Deadline, *, first: bool = False) -> None:
        assert self._token is not None
        assert self._token_row is not None
        began = monotonic()
        seconds = await self._means.tokens.extend(self._token.accessor, deadline)
        self._token_due = began + seconds / 3
        # The first time belongs to its issue: until then it lives for moments only.
        await self._renewed(self._token_row, seconds, first=first)

    async def _renewed(self, row: UUID, seconds: float, *, first: bool = False) -> None:
        """Write down that a grant lives on; the audit has the first time, then a count."""
        if not first:
            self._renewals[row] = self._renewals.get(row, 0) + 1
        audited = self._renewals.get(row) == 1 and not first
        await self._means.rows.renewed(row, seconds, audited=audited)

    def _show(self) -> None:
        """Let the gateway have what is injected."""
        if not self._over:
            routes, behind = decisions.routes(self._living), decisions.behind(self._living)
            self._means.memory.put(self._holder.key, self, routes, behind)

    # -- while the turn runs ----------------------------------------------------------------

    async def _refresh_for_ever(self) -> None:
        while True:
            due = min([self._token_due, *(one.due for one in self._living)])
            due = 0.0 if self._former else due
            await asyncio.sleep(min(max(0.0, due - monotonic()), 3600.0))
            try:
                await self._refresh()
            except Exception as error:
                # What the turn has, it keeps; perhaps it comes to its end in between.
                log.warning("grants_not_renewed", why=str(error))
                await asyncio.sleep(AGAIN_SECONDS)

    async def _refresh(self) -> None:
        failed: list[Exception] = []
        if self._token_due <= monotonic():
            try:
                await self._keep_token(Deadline.after(ISSUE_SECONDS))
            except Exception as error:
                # What does not hang on it is seen to all the same.
                failed.append(error)
        for one in list(self._living):
            if one.due <= monotonic():
                try:
                    await self._prolong(one, Deadline.after(ISSUE_SECONDS))
                except Exception as error:
                    # Its issuer is away; the others' are not, and they end meanwhile.
                    failed.append(error)
        await self._hand_over()
        if failed:
            raise failed[0]

    async def _keep_token(self, deadline: Deadline) -> None:
        try:
            await self._extend(deadline)
        except (Misasked, Missing) as error:
            log.warning("turn_token_ended", why=str(error))
            await self._start_over(deadline)

    async def _prolong(self, living: Living, deadline: Deadline) -> None:
        """Renew a grant, or issue another one where it can't be."""
        began, issuer = monotonic(), living.issuer
        if living.issued.renewable and isinstance(issuer, Renews):
            try:
                renewed = await issuer.renew(living.issued, deadline)
            except (Misasked, Missing) as error:
                log.info("grant_ended", grant=str(living.row), why=str(error))
            else:
                if decisions.lives_on(renewed, living.issued):
                    living.issued, living.due = renewed, decisions.due(renewed, began)
                    await self._renewed(living.row, renewed.seconds)
                    return
        await self._replace(living, deadline)

    async def _replace(self, living: Living, deadline: Deadline) -> None:
        """Issue another one; `_hand_over` brings it into use."""
        self._replacing = asyncio.create_task(self._issue_another(living, deadline))
        self._replacing.add_done_callback(_seen)
        # Cut off in the middle, what its issuer gives out would be known to nobody.
        await asyncio.shield(self._replacing)

    async def _issue_another(self, living: Living, deadline: Deadline) -> None:
        plan = decisions.planned(living.wanted, living.issuer)
        await self._means.rows.plan(self._holder, [plan], self._turn_id)
        another = await self._one(plan, living.issuer, deadline)
        # It is issued once, however often it then can't be written down or handed out.
        self._living = [*(one for one in self._living if one is not living), another]
        self._former.append(living)
        await self._record([another])

    async def _hand_over(self) -> None:
        """Use what was issued in place of others, and give those up."""
        if not self._former:
            return
        # Again where that failed the first time; what is recorded stays as it is.
        await self._record(self._living)
        is_handed = any(one.wanted.mode is Mode.HANDED for one in self._former)
        if is_handed and self._place is not None:
            await self._place(self.handed)
        self._show()
        while self._former:
            await self._give_up(self._former[0])
            del self._former[0]

    async def _start_over(self, deadline: Deadline) -> None:
        """Its token is gone, and what ends with that: begin with another one."""
        assert self._whose is not None
        assert self._token_row is not None
        plan, before = decisions.planned_token(), self._token_row
        await self._means.rows.plan(self._holder, [plan], self._turn_id)
        token = await self._ask_token(self._whose, deadline)
        # Only what is written down is used and extended; else it ends by itself in seconds.
        await self._means.rows.record([decisions.recorded_token(plan.id, token)])
        self._token, self._token_row = token, plan.id
        for one in self._living:
            if one.issuer.by_token:
                # It ended with the one before: `_refresh` issues another one.
                one.issued, one.due = replace(one.issued, renewable=False), 0.0
        await self._means.rows.over(GrantState.REVOKED, [before])
        await self._extend(deadline, first=True)

    # -- the end ----------------------------------------------------------------------------

    async def _end(self) -> None:
        for asked in (self._issuing, self._replacing):
            if asked is not None:
                # What was asked for is there or not; only its answer says how to end it.
                with suppress(Exception):
                    await asyncio.shield(asked)
        again = {row: times - 1 for row, times in self._renewals.items() if times > 1}
        counted, *revoked = await asyncio.gather(
            self._means.rows.renewed_again(again),
            self._end_token(),
            *(self._give_up(one) for one in self._had if not one.issuer.by_token),
            return_exceptions=True,
        )
        for failed in (counted, *revoked):
            if isinstance(failed, BaseException):
                # Its row stays as it is, and the sweep goes by that.
                log.warning("grant_not_ended", why=repr(failed))
        self.is_revoked = all(known is True for known in revoked)

    @property
    def _had(self) -> list[Living]:
        """All that may still work."""
        return [*self._living, *self._former]

    async def _end_token(self) -> bool:
        """End the token, and with it all that it is the parent of; whether that is known."""
        if self._token is None or self._token_row is None:
            return True
        try:
            await self._means.tokens.revoke(self._token.accessor, Deadline.after(REVOKE_SECONDS))
        except VaultError as error:
            log.warning("turn_token_not_revoked", why=str(error))
            return False
        children = [one.row for one in self._had if one.issuer.by_token]
        await self._means.rows.over(GrantState.REVOKED, [self._token_row, *children])
        return True

    async def _give_up(self, living: Living) -> bool:
        """Revoke it; whether that is known, or only time ends it."""
        trail = Trail(id=living.row, options=living.wanted.options, trace=dict(living.issued.trace))
        try:
            refused = await living.issuer.revoke(trail, Deadline.after(REVOKE_SECONDS))
        except VaultError as error:
            log.warning("grant_not_revoked", grant=str(living.row), why=str(error))
            return False
        if refused:
            await self._means.rows.over(GrantState.REVOKED, [living.row])
        elif living.issued.seconds == math.inf:
            # It was in our memory alone, and is forgotten.
            await self._means.rows.over(GrantState.ENDED, [living.row])
        return True


def _is_no(got: object) -> TypeGuard[VaultError]:
    """Whether asking again would give the same."""
    return isinstance(got, VaultError) and not isinstance(got, VaultAway)


def _seen(task: "asyncio.Task[None]") -> None:
    """Whoever waits for it gets its error; when nobody does, that is no mistake."""
    if not task.cancelled():
        task.exception()
