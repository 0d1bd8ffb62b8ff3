"""What it takes to issue all grants of a turn, beside the same calls to Vault by hand with hvac.

By hand they go one after the other, with nothing written down; ours go at once where they can, and
a row is written before and after. Both are of a session that Vault knows already.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from uuid import UUID

import hvac
from sqlalchemy import text

from adapters.vault.client import Vault
from adapters.vault.engines import IdentityTokens, KvValues, role_of
from adapters.vault.logins import by_token_file
from adapters.vault.port import Issuer
from adapters.vault.prepare import TURN_POLICY, Names, prepare
from adapters.vault.tokens import UNWRITTEN_SECONDS, Tokens, alias_of
from bot.govern.audit import HERE
from bot.govern.grant_records import Holder
from bot.govern.grants import Grants
from bot.govern.policy import set_policy
from bot.work.work_queue import WorkQueue
from tests.bench.figures import Figure, spread
from tests.bench.town import Town, databases
from tests.support.openbao import OpenBao, openbao_server

TURNS = 100
WARMING = 5
RATIO_MAX = 1.3
NAMES = Names()
AUDIENCE = "internal.example.org"
POLICY = f"""
[routes.npm]
url = "https://npm.example.com"
[routes.api]
url = "https://api.example.com"
[grants.npm]
kind = "kv"
mode = "injected"
route = "npm"
headers = {{ Authorization = "Bearer {{value}}" }}
[grants.api]
kind = "kv"
mode = "injected"
route = "api"
headers = {{ Authorization = "Bearer {{value}}" }}
[grants.who]
kind = "identity"
mode = "handed"
options = {{ audience = "{AUDIENCE}" }}
"""


@dataclass(frozen=True)
class Desk:
    """A turn about to begin, and both who issue its grants."""

    grants: Grants
    holder: Holder
    by_hand: hvac.Client

    async def ours(self) -> float:
        """Seconds until all are issued."""
        began = time.perf_counter()
        begun = self.grants.begin(self.holder, turn_id=None)
        await begun.ready()
        took = time.perf_counter() - began
        await begun.end()
        return took

    def theirs(self) -> float:
        """The same without us."""
        client, session = self.by_hand, self.holder.session_id
        began = time.perf_counter()
        accessor = _issued(client, session)
        took = time.perf_counter() - began
        client.auth.token.revoke_accessor(accessor)
        return took


async def measure() -> list[Figure]:
    """Both in turns."""
    ours, theirs = [], []
    async with _desk() as desk:
        for number in range(-WARMING, TURNS):
            one, other = await desk.ours(), await asyncio.to_thread(desk.theirs)
            if number >= 0:
                ours.append(one * 1000)
                theirs.append(other * 1000)
    ratio = median(ours) / median(theirs)
    figure = Figure(
        name="all grants of a turn issued: its token, two values, an identity token",
        unit="ms",
        **spread(ours),
        yardstick="the same calls by hand with hvac, one after the other",
        yardstick_p50=round(median(theirs), 3),
        ratio=round(ratio, 2),
        target=f"≤ {RATIO_MAX:g} ×",
        passed=ratio <= RATIO_MAX,
        note="Ours writes rows before and after; it goes on while the turn's machine is resumed.",
    )
    return [figure]


def _issued(client: hvac.Client, session: UUID) -> str:
    """Accessor of a token with which all was issued."""
    facts = {"session": "s", "project": "demo", "person": "p", "repository": "", "environment": ""}
    client.secrets.identity.create_or_update_entity_by_name(alias_of(session), metadata=facts)
    auth = client.auth.token.create(
        role_name=NAMES.token_role,
        policies=[TURN_POLICY],
        meta=facts,
        no_default_policy=True,
        ttl=f"{int(UNWRITTEN_SECONDS)}s",
        entity_alias=alias_of(session),
    )["auth"]
    turn = hvac.Client(url=client.url, token=auth["client_token"], session=client.session)
    for name in ("npm", "api"):
        turn.secrets.kv.v2.read_secret_version(f"projects/demo/{name}", mount_point=NAMES.kv)
    turn.secrets.identity.generate_signed_id_token(role_of("demo", AUDIENCE))
    client.auth.token.renew_accessor(auth["accessor"], increment="900s")
    return str(auth["accessor"])


@asynccontextmanager
async def _desk() -> AsyncIterator[Desk]:
    async with databases() as make_url:
        town = Town(make_url())
        await town.settle()
        async with town.database.begin() as tx:
            await set_policy(tx, town.project, POLICY, name="policy.toml", by=HERE)
        await town.inbox.accept(town.message("grants"))
        queue = WorkQueue(town.database, owner="bench", host_id=town.host, lease_seconds=600)
        lease = await queue.claim()
        assert lease is not None
        key = lease.key
        holder = Holder(session_id=key.session_id, owner=key.owner, token=key.token)
        with openbao_server(durable=True) as server:
            async with _vault(server) as vault:
                issuers: dict[str, Issuer] = {
                    "kv": KvValues(vault, NAMES.kv),
                    "identity": IdentityTokens(vault, key=NAMES.oidc_key),
                }
                tokens = Tokens(vault, role=NAMES.token_role)
                yield Desk(Grants(town.database, tokens, issuers), holder, server.client())
        async with town.database.begin() as tx:
            left = await tx.scalar(text("SELECT count(*) FROM turn_grant WHERE state = 'issuing'"))
            assert left == 0
        await town.database.close()


@asynccontextmanager
async def _vault(server: OpenBao) -> AsyncIterator[Vault]:
    root = server.client()
    prepare(root, NAMES)
    for name in ("npm", "api"):
        root.secrets.kv.v2.create_or_update_secret(
            f"projects/demo/{name}", {"value": name}, mount_point=NAMES.kv
        )
    with tempfile.TemporaryDirectory() as directory:
        token = Path(directory) / "token"
        token.write_text(server.root_token)
        vault = Vault(server.address, by_token_file(token))
        try:
            yield vault
        finally:
            await vault.close()
