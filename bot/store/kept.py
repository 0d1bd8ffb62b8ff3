"""What an installation keeps of itself for as long as its database lives."""

from collections.abc import Iterable, Mapping

from sqlalchemy import text

from bot.store.transaction import Transaction

_KEEP = text("INSERT INTO kept (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING")
_GET = text("SELECT value FROM kept WHERE name = :name")
_HOSTS = text("SELECT name, value FROM kept WHERE starts_with(name, :front) ORDER BY name")

_HOST = "code host:"


async def keep(tx: Transaction, name: str, value: str) -> str:
    """The value that is kept under the name: the first that anybody gave."""
    await tx.execute(_KEEP, {"name": name, "value": value})
    return str(await tx.scalar(_GET, {"name": name}))


async def keep_hosts(tx: Transaction, hosts: Iterable[tuple[str, str]]) -> None:
    """Remember that the settings named these code hosts: (host, surface)."""
    for host, surface in sorted(hosts):
        await keep(tx, f"{_HOST}{host}", surface)


async def hosts(tx: Transaction) -> Mapping[str, str]:
    """The code hosts that the settings ever named, to the surface that each was."""
    rows = await tx.execute(_HOSTS, {"front": _HOST})
    return {row.name.removeprefix(_HOST): row.value for row in rows}
