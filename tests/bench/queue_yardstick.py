"""procrastinate 3.10 with a lock per session: the yardstick of the queue."""

import procrastinate

CONNECTIONS = 8


def make_app(url: str) -> procrastinate.App:
    """An app with one task that does nothing but note that it ran."""
    conninfo = url.replace("postgresql+psycopg://", "postgresql://", 1)
    connector = procrastinate.PsycopgConnector(conninfo=conninfo, min_size=1, max_size=CONNECTIONS)
    app = procrastinate.App(connector=connector)

    @app.task(name="nothing")
    async def nothing(number: int) -> None:
        """No work inside."""

    return app
