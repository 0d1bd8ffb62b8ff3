"""Where listeners that ask again and again have read to."""

from sqlalchemy import text

from bot.store.database import Database

_GET = text("SELECT value FROM cursor WHERE name = :name")
_PUT = text(
    """
    INSERT INTO cursor (name, value) VALUES (:name, :value)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value, put_at = now()
    """
)


class StoredCursors:
    """Keeps them in the database; see `adapters.forge.port.Cursors`."""

    def __init__(self, database: Database, owner: str) -> None:
        """`owner` is in front of the names, so that nobody else's are touched."""
        self._database = database
        self._owner = owner

    async def get(self, name: str) -> str | None:
        """What was last put under the name."""
        async with self._database.begin() as tx:
            value: str | None = await tx.scalar(_GET, self._key(name))
        return value

    async def put(self, name: str, value: str) -> None:
        """Keep a value."""
        async with self._database.begin() as tx:
            await tx.execute(_PUT, {**self._key(name), "value": value})

    def _key(self, name: str) -> dict[str, str]:
        return {"name": f"{self._owner}:{name}"}
