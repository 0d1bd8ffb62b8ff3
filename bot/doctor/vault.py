"""The check of Vault: is it reached, do we get in, and does our token last."""

from adapters.chat.port import Deadline
from adapters.vault.errors import VaultError
from adapters.vault.port import Bearer
from adapters.vault.prepare import TURN_POLICY
from adapters.vault.tokens import Tokens
from bot.config import Settings
from bot.doctor.finding import Finding, Verdict
from bot.openbao.embedded import find_running
from bot.store.ids import new_id
from bot.vault import names_of, vault_open

SECONDS_MAX = 10.0
NO_GRANTS = "Turns of projects that want credentials wait."
SAYS = "docs/vault.md says how it is meant to be."


async def check_vault(settings: Settings) -> Finding:
    """Whether turns can get credentials."""
    settings = _with_embedded(settings)
    known = settings.vault
    async with vault_open(settings) as vault:
        if vault is None:
            if known.address is not None:
                return _less("an address without vault.token_file or another login", SAYS)
            found = "off: `ona up` starts an OpenBao" if known.embedded else "off"
            return Finding(name="Vault", verdict=Verdict.FINE, found=found)
        tokens = Tokens(vault, role=names_of(known).token_role)
        try:
            ours = await vault.examine(Deadline.after(SECONDS_MAX))
            await _try_token(tokens)
        except VaultError as error:
            return _less(f"{known.address}: {error}", f"{error.do[:1].upper()}{error.do[1:]}.")
    if ours.get("ttl") and not ours.get("period"):
        # Those of turns are its children, and end with it.
        return Finding(
            name="Vault",
            verdict=Verdict.LESS,
            found=f"{known.address}; our token ends in {int(ours['ttl']) // 60} minutes at most",
            follows="The credentials of turns that run then end with it.",
            do="Let ona log in for a periodic token (token_period); " + SAYS,
        )
    return Finding(name="Vault", verdict=Verdict.FINE, found=str(known.address))


def _with_embedded(settings: Settings) -> Settings:
    """The settings that lead to the OpenBao of an `ona up` that runs here, if there is one."""
    known = settings.vault
    if known.address is not None or not known.embedded:
        return settings
    found = find_running(settings.openbao_dir)
    if found is None:
        return settings
    there = {"address": found.address, "ca_file": found.ca_file, "token_file": found.token_file}
    return settings.model_copy(update={"vault": known.model_copy(update=there)})


async def _try_token(tokens: Tokens) -> None:
    """Have the token of a turn issued and revoked, as every turn does."""
    session, deadline = new_id(), Deadline.after(SECONDS_MAX)
    nobody = Bearer(session_id=session, session="doctor", project="doctor", person="")
    made = await tokens.issue(nobody, (TURN_POLICY,), deadline)
    await tokens.revoke(made.accessor, deadline)
    await tokens.forget(session, deadline)


def _less(found: str, do: str) -> Finding:
    return Finding(name="Vault", verdict=Verdict.LESS, found=found, follows=NO_GRANTS, do=do)
