"""The credentials of one run of a turn, as the turn sees them; see `bot.govern.grants`.

begin (beside the machine) ─▶ wait ─▶ hand out (in the machine, at the gateway) ─▶ … ─▶ end
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from adapters.agent.port import JobRefused
from adapters.vault.errors import VaultAway, VaultError
from bot.errors import Unfit
from bot.govern.grant_decisions import Handed
from bot.govern.grant_records import Holder, NotHeld
from bot.govern.grants import Grants
from bot.govern.issuance import Issuance
from bot.words.catalogue import N_
from bot.words.catalogue import gettext as _
from bot.work.lease import Lease, OpenTurn
from bot.work.own_host import repository_of
from bot.work.queue import LeaseLost
from bot.work.workplace import Awaited, Workplace

DIRECTORY = "ONA_GRANTS"
"""Variable of the job: where it finds what was handed to it."""
_WAITS = N_(
    "This turn waits for its credentials: {why}. The prompt is kept and begins by itself when they "
    "can be had; {do}."
)
_WITHOUT = N_(
    "This turn goes on without new credentials: {why}. Its command runs on, and what needs one "
    "will fail; {do}."
)
_CLOSED = N_(
    "What runs here can't use {repository}: {why}. Everything else goes on as usual; {do}."
)
OF_VAULT = (
    N_("`ona doctor` says more"),
    N_("an operator has to unseal it"),
    N_("an operator has to see that it runs and that this host reaches it"),
    N_("an operator has to renew what ona logs in with"),
    N_("an operator has to let ona do that in Vault; docs/vault.md has the policy"),
    N_("an operator has to mend it; docs/vault.md says how it is meant to be"),
    N_("this is an error of ours: please report it"),
)
"""What the adapter of Vault says is to be done."""


class Granted:
    """What one run of a turn gets, or nothing where there is no Vault."""

    def __init__(self, grants: Grants | None, lease: Lease) -> None:
        """`grants` None: no turn gets any."""
        self._grants = grants
        self._lease = lease
        self._issuance: Issuance | None = None
        self.environment: Mapping[str, str] = {}
        """For the turn's job."""

    def begin(self, turn: OpenTurn | None) -> None:
        """Have them issued while the machine is made ready; again is no harm.

        :param turn: left open by an earlier holder
        """
        if self._grants is not None and self._issuance is None:
            key = self._lease.key
            holder = Holder(session_id=key.session_id, owner=key.owner, token=key.token)
            self._issuance = self._grants.begin(holder, turn_id=turn.id if turn else None)

    async def wait(self, turn: OpenTurn | None) -> Sequence[str]:
        """Return when they are issued; what to tell people if the turn goes on without.

        :raises Awaited: the turn has to wait
        :raises OnaError: it can't begin as things are
        :raises LeaseLost:
        """
        if self._issuance is None:
            return []
        try:
            await self._issuance.ready()
        except NotHeld as error:
            raise LeaseLost("claimed by another worker") from error
        except VaultError as error:
            await self.end()
            if turn is not None:
                return [_(_WITHOUT, why=str(error), do=_(error.do))]
            raise _ungranted(error) from error
        return await self._closed()

    async def _closed(self) -> Sequence[str]:
        """What to tell people of what no policy declares and the turn did not get; once."""
        assert self._grants is not None
        assert self._issuance is not None
        notices = dict.fromkeys(
            _(_CLOSED, repository=repository_of(wanted), why=str(error), do=_(error.do))
            for wanted, error in self._issuance.without
        )
        session_id = self._lease.key.session_id
        return [one for one in notices if not await self._grants.is_told(session_id, one)]

    async def hand_out(self, place: Workplace, turn: OpenTurn) -> None:
        """Let the turn that has begun have what was issued for it.

        :raises ConnectionError: the way into the machine is lost
        :raises JobRefused: the machine has no room for what is handed
        """
        if self._issuance is not None and self._issuance.prompt_id != turn.prompt_id:
            # Another prompt went first meanwhile: what was issued names somebody else.
            await self.end()
            self.begin(turn)
            await self.wait(turn)
        if self._issuance is None:
            return

        async def hand(handed: Handed) -> None:
            await place.materials.hand(str(turn.id), handed)

        if self._issuance.handed:
            self.environment = {DIRECTORY: place.materials.grants_directory(str(turn.id))}
        await self._issuance.start(turn.id, hand)

    async def take_back(self, place: Workplace, turn: OpenTurn) -> None:
        """The job has ended: what was handed is removed, and all of it refused from now on."""
        if self.environment:
            with suppress(ConnectionError, JobRefused):
                await place.materials.take_back(str(turn.id))
        await self.end()

    async def end(self) -> None:
        """Give up what was issued; again is no harm."""
        issuance, self._issuance = self._issuance, None
        if issuance is not None:
            await issuance.end()


def _ungranted(error: VaultError) -> Exception:
    """Why a turn can't begin: it waits, or an operator has to mend something first."""
    if isinstance(error, VaultAway):
        return Awaited(_(_WAITS, why=str(error), do=_(error.do)))
    return Unfit(_("a credential of this turn can't be had: {why}", why=str(error)), do=_(error.do))
