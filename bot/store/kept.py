"""What an installation keeps of itself, most of it for as long as its database lives."""

from collections.abc import Iterable, Mapping

from sqlalchemy import text

from bot.store.transaction import Transaction

_KEEP = text("INSERT INTO kept (name, value) VALUES (:name, :value) ON CONFLICT (name) DO NOTHING")
_GET = text("SELECT value FROM kept WHERE name = :name")
_HOSTS = text("SELECT name, value FROM kept WHERE starts_with(name, :front) ORDER BY name")

_PUT = text(
    "INSERT INTO kept (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET"
    " value = excluded.value, kept_at = now()"
)
_FORGET = text(
    "DELETE FROM kept WHERE starts_with(name, :front) AND kept_at < now() - interval '1 day'"
)

_HOST = "code host:"
_SIGN_IN = "sign-in:"


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


async def note_sign_in(tx: Transaction, digest: str, why: str) -> None:
    """Note for a day that nothing came of a sign-in, under a digest of its secret."""
    await tx.execute(_FORGET, {"front": _SIGN_IN})
    await tx.execute(_PUT, {"name": f"{_SIGN_IN}{digest}", "value": why})


async def why_no_sign_in(tx: Transaction, digest: str) -> str | None:
    """Why nothing came of a sign-in; None: that is not known."""
    why: str | None = await tx.scalar(_GET, {"name": f"{_SIGN_IN}{digest}"})
    return why
