"""Processes that issue and end the grants of a turn each, killed by themselves at a moment of it.

Run as `python -m tests.fakes.grants_process WORDS`, JSON of `Words`. Prints the status of each
process as JSON: -9 where its moment came. What they were given is in the file `seen`, a line each.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from adapters.forge.gitlab.client import Client
from adapters.vault import tokens as tokens_module
from adapters.vault.client import Vault
from adapters.vault.engines import DatabaseUsers, IdentityTokens, SshCertificates
from adapters.vault.forges import AppKey, GitHubTokens, GitLabTokens
from adapters.vault.logins import by_token_file
from adapters.vault.port import Issued, Issuer, TurnToken
from adapters.vault.prepare import Names
from adapters.vault.sealing import Sealing
from adapters.vault.tokens import Tokens
from bot.govern import grant_decisions
from bot.govern.grant_decisions import Handed
from bot.govern.grant_records import Holder
from bot.govern.grants import Grants
from bot.store.database import Database


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One that a process has the grants of, until it is killed."""

    moment: str
    """After which call it is killed: its owner and its name."""
    session_id: str
    owner: str
    token: int
    turn_id: str


@dataclass(frozen=True, kw_only=True)
class Words:
    """What these processes have to know."""

    database: str
    vault: str
    namespace: str
    token_file: str
    gitlab: str
    gitlab_token: str
    github: str
    github_app: str
    github_key: str
    """What its key is called in Vault's transit engine."""
    seen: str
    """File for what was issued, and where it was used."""
    unwritten_seconds: float
    turns: list[Turn]


class Dying:
    """Kills its process as a call has been answered."""

    def __init__(self, moment: str, seen: Path) -> None:
        self._moment = moment
        self._seen = seen

    def watch(self, owner: Any, name: str, *methods: str) -> None:
        """These calls of an object are what may be the last."""
        for method in methods:
            setattr(owner, method, self._watched(getattr(owner, method), f"{name}.{method}"))

    def _watched(
        self, call: Callable[..., Awaitable[Any]], name: str
    ) -> Callable[..., Awaitable[Any]]:
        async def watched(*args: Any, **known: Any) -> Any:
            answer = await call(*args, **known)
            self._note(name, answer)
            self.came_to(name)
            return answer

        return watched

    def came_to(self, name: str) -> None:
        """One is over, and with it perhaps this process."""
        if name == self._moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def write(self, **said: object) -> None:
        """A line for whoever started this process."""
        with self._seen.open("a") as file:
            file.write(json.dumps({"moment": self._moment, **said}) + "\n")

    def _note(self, name: str, answer: Any) -> None:
        if isinstance(answer, TurnToken):
            self.write(kind="token", values={"token": answer.token.get_secret_value()})
        elif isinstance(answer, Issued):
            values = {name: value.get_secret_value() for name, value in answer.values.items()}
            self.write(kind=name.partition(".")[0], values=values)


async def live(words: Words, turn: Turn) -> None:
    """Have a turn's grants, and give them up; or be killed on the way."""
    tokens_module.UNWRITTEN_SECONDS = words.unwritten_seconds
    grant_decisions.UNWRITTEN_SECONDS = words.unwritten_seconds
    vault = Vault(
        words.vault, by_token_file(Path(words.token_file)), namespace=words.namespace or None
    )
    names, client = Names(), Client(words.gitlab, words.gitlab_token)
    tokens = Tokens(vault, role=names.token_role)
    issuers: dict[str, Issuer] = {
        "database": DatabaseUsers(vault, names.database),
        "ssh": SshCertificates(vault, names.ssh),
        "identity": IdentityTokens(vault, key=names.oidc_key),
        "gitlab": GitLabTokens(client),
        "github": GitHubTokens(
            AppKey(vault, words.github_app, key=words.github_key, mount=names.transit),
            Sealing(vault, key=names.sealing_key, mount=names.transit),
            api_url=words.github,
        ),
    }
    grants = Grants(Database(words.database), tokens, issuers)
    dying = Dying(turn.moment, Path(words.seen))
    dying.watch(grants._rows, "rows", "plan", "record", "of_turn", "over")
    dying.watch(tokens, "token", "issue", "extend", "revoke")
    for kind, issuer in issuers.items():
        dying.watch(issuer, kind, "issue", "revoke")

    put = grants.memory.put

    def shown(*args: Any) -> None:
        put(*args)
        dying.write(used="gateway")
        dying.came_to("gateway.put")

    grants.memory.put = shown  # type: ignore[method-assign]

    async def place(_handed: Handed) -> None:
        dying.write(used="machine")
        dying.came_to("machine.place")

    holder = Holder(session_id=UUID(turn.session_id), owner=turn.owner, token=turn.token)
    begun = grants.begin(holder, turn_id=None)
    await begun.ready()
    await begun.start(UUID(turn.turn_id), place)
    await begun.end()
    await grants.close()


def main(said: str) -> None:
    """One process after the other, each forked from this one, which has read all modules."""
    given = json.loads(said)
    words = Words(**{**given, "turns": [Turn(**one) for one in given["turns"]]})
    ended: dict[str, int] = {}
    for turn in words.turns:
        child = os.fork()
        if child == 0:
            asyncio.run(live(words, turn))
            os._exit(0)
        ended[turn.moment] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps(ended), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
