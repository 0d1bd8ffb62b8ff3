"""Policies: the installation's lines and a project's own, by version; what they come to.

registries of this host ┐
[policy] of ona.toml    ├─▶ one `vmpool.network.policy.Policy`: any line that denies wins
the project's newest    ┘
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from bot.errors import NotFound, Refused
from bot.govern.audit import Audited, Source, record
from bot.govern.policy_text import Document, check_grants, read
from bot.store.database import POLICY, Database, Listener
from bot.store.ids import new_id
from bot.store.statements import load
from bot.store.transaction import Transaction
from vmpool.network.hosts import BadHost, normalise
from vmpool.network.policy import PORT_MAX, Decision, Policy, decide

SQL = load(Path(__file__).parent / "sql" / "policy.sql")
FRESH_SECONDS = 15.0
"""For which a policy counts without a look at the table, if no hint comes."""
PROJECTS_MAX = 10_000
"""Whose policies are remembered."""
PORTS: Mapping[str, int] = {"http": 80, "https": 443, "ssh": 22, "git": 9418, "ws": 80, "wss": 443}
NAME_CHARACTERS_MAX = 200


@dataclass(frozen=True, kw_only=True)
class Effective:
    """What counts for a project."""

    version: int
    """Of the project's own policy; 0: it has none."""
    document: Document
    policy: Policy


class Policies:
    """The policies that count, remembered until somebody sets another one."""

    def __init__(
        self, database: Database, installation: Policy, *, listener: Listener | None = None
    ) -> None:
        """`listener` brings the POLICY hints; without one the table is looked at in time."""
        self._database = database
        self._installation = installation
        self._known: dict[UUID, tuple[float, Effective]] = {}
        self._epoch = 0
        self._off: Callable[[], None] = lambda: None
        if listener is not None:
            self._off = listener.on(POLICY, self._hear)

    def close(self) -> None:
        """Listen no more."""
        self._off()

    async def policy_of(self, project_id: UUID | None) -> Policy:
        """What machines of a project may reach; None: of no project, the installation's lines."""
        if project_id is None:
            return self._installation
        return (await self.effective(project_id)).policy

    async def effective(self, project_id: UUID) -> Effective:
        """What counts for a project, what it declares besides too."""
        fresh_until, known = self._known.get(project_id, (0.0, None))
        if known is not None and monotonic() < fresh_until:
            return known
        epoch, asked = self._epoch, monotonic()
        async with self._database.begin() as tx:
            found = await effective(tx, project_id, self._installation)
        if epoch == self._epoch:
            if len(self._known) >= PROJECTS_MAX:
                self._known.clear()
            self._known[project_id] = (asked + FRESH_SECONDS, found)
        return found

    def _hear(self, payload: str) -> None:
        """Forget what may be out of date, also what is being looked up at this moment."""
        self._epoch += 1
        try:
            self._known.pop(UUID(payload), None)
        except ValueError:
            self._known.clear()


async def effective(tx: Transaction, project_id: UUID, installation: Policy) -> Effective:
    """What counts for a project, from the table."""
    row = (await tx.execute(SQL["newest"], {"project": project_id})).one_or_none()
    if row is None:
        return Effective(version=0, document=Document(), policy=installation)
    name = await tx.scalar(SQL["project"], {"project": project_id})
    found = read(row.source, row.name)
    own = found.policy(f"policy of project {name}, version {row.version}")
    return Effective(version=row.version, document=found.document, policy=joined(installation, own))


def joined(first: Policy, second: Policy) -> Policy:
    """The lines of both."""
    return Policy(
        rules=(*first.rules, *second.rules),
        services=(*first.services, *second.services),
        routed=(*first.routed, *second.routed),
    )


async def set_policy(
    tx: Transaction, project_id: UUID, source: str, *, name: str, by: Source
) -> int:
    """Let a project have this policy from now on; its version. One that equals it stays.

    :raises Refused: it can't be read
    :raises NotFound: no such project
    """
    name = _file_name(name)
    check_grants(read(source, name), name)
    if "\x00" in source:
        raise Refused(f"{name}: it holds a NUL character", kept="nothing was changed")
    project = await tx.scalar(SQL["lock_project"], {"project": project_id})
    if project is None:
        raise NotFound("there is no such project")
    before = (await tx.execute(SQL["newest"], {"project": project_id})).one_or_none()
    if before is not None and before.source == source:
        return int(before.version)
    added = {"id": new_id(), "project": project_id, "name": name, "source": source}
    version = int(await tx.scalar(SQL["add"], {**added, "by": by.person_id}))
    body = {"version": version, "sha256": hashlib.sha256(source.encode()).hexdigest()}
    await record(
        tx, Audited(kind="policy.set", by=by, place=project, project_id=project_id, body=body)
    )
    tx.hint(POLICY, project_id)
    return version


async def versions(
    tx: Transaction, project_id: UUID, version: int | None = None
) -> Sequence[Mapping[str, Any]]:
    """The versions of a project's policy, the newest first: version, name, source, set_at, set_by.

    :raises NotFound: there is no such version
    """
    wanted = {"project": project_id, "version": version}
    rows = [dict(row) for row in (await tx.execute(SQL["versions"], wanted)).mappings()]
    if version is not None and not rows:
        raise NotFound(f"there is no version {version} of this policy", do="`ona policy history`")
    return rows


def explain(policy: Policy, said: str) -> Decision:
    """What a policy says of a URL, `HOST` or `HOST:PORT`. :raises Refused: it is none of these."""
    host, port = destination(said)
    return decide(policy, host, port)


def destination(said: str) -> tuple[str, int]:
    """Host and port of a URL, `HOST` (the web's port) or `HOST:PORT`. :raises Refused: neither.

    The host is one, whatever its spelling.
    """
    parts = urlsplit(said if "://" in said else f"//{said}")
    try:
        port = parts.port or PORTS.get(parts.scheme or "https")
    except ValueError:
        raise Refused(f"the port of {said[:80]} is none; they go from 1 to {PORT_MAX}") from None
    if not parts.hostname:
        raise Refused(f"{said[:80]} names no host", do="give a URL, HOST or HOST:PORT")
    if port is None:
        raise Refused(f"{said[:80]} needs a port", do="write it behind the host: HOST:PORT")
    try:
        normalise(parts.hostname)
    except BadHost as error:
        raise Refused(f"{said[:80]}: {error}", do="give a URL, HOST or HOST:PORT") from None
    return parts.hostname, port


def _file_name(name: str) -> str:
    plain = "".join(one if one.isprintable() else "\ufffd" for one in name.strip())
    return Path(plain).name[:NAME_CHARACTERS_MAX] or "policy.toml"
