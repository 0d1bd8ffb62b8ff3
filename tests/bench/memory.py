"""Memory of `ona serve` and `ona work` with 1,000 sessions at rest.

PSS: each process's own pages, and its share of those it has in common with others.
"""

import asyncio
import os
import tempfile
import time
from pathlib import Path

import httpx2
from sqlalchemy import text

from bot.store.database import Database
from bot.store.embedded import EmbeddedPostgres
from tests.bench.figures import Figure, spread
from tests.e2e.installation import Installation, make_repository

SESSIONS = 1_000
PROMPTS = 5
OUTPUTS = 4
LIMIT_MIB = 250
REQUESTS = 20
SETTLE_SECONDS = 15
SAMPLES = 5
FILL = f"""
WITH new AS (
    INSERT INTO session (id, short, project_id, creator_id, title, agent, branch, event_last)
    SELECT gen_random_uuid(), 's-bench' || n, project.id, person.id, 'Session ' || n, 'shell',
           'ona/s-bench' || n, {PROMPTS * (OUTPUTS + 3)}
      FROM generate_series(1, {SESSIONS}) AS n,
           (SELECT id FROM project LIMIT 1) AS project, (SELECT id FROM person LIMIT 1) AS person
    RETURNING id, creator_id
), prompts AS (
    INSERT INTO prompt (id, session_id, position, kind, author_id, state)
    SELECT gen_random_uuid(), new.id, n * 1024, 'text', new.creator_id, 'done'
      FROM new, generate_series(1, {PROMPTS}) AS n
    RETURNING id, session_id
), turns AS (
    INSERT INTO turn (id, session_id, prompt_id, state, outcome, ended_at)
    SELECT gen_random_uuid(), session_id, id, 'succeeded', '{{"summary": "exit status 0"}}', now()
      FROM prompts
)
INSERT INTO turn_event (session_id, number, kind, body)
SELECT new.id, n, 'output', jsonb_build_object('stream', 'stdout', 'text', repeat('line ', 200))
  FROM new, generate_series(1, {PROMPTS * (OUTPUTS + 3)}) AS n
"""


def measure() -> list[Figure]:
    """Start both, fill the database, ask for pages, let it settle, read."""
    with tempfile.TemporaryDirectory(prefix="memory-") as place:
        server = EmbeddedPostgres(Path(place) / "postgres")
        url = asyncio.run(server.start())
        ona = Installation(
            data=Path(place) / "data",
            repository=make_repository(Path(place) / "demo"),
            settings={"ONA_DATABASE__URL": url, "ONA_MACHINE__IDLE_SECONDS": "2"},
        )
        try:
            ona.start()
            ona.until_ready()
            asyncio.run(_fill(url))
            _look_around(ona)
            time.sleep(SETTLE_SECONDS)
            return [_figure(ona)]
        finally:
            ona.end()
            asyncio.run(server.stop())


async def _fill(url: str) -> None:
    database = Database(url)
    try:
        await database.run(text(FILL.replace(":", r"\:")))
    finally:
        await database.close()


def _look_around(ona: Installation) -> None:
    for number in range(1, REQUESTS + 1):
        ona.request("GET", "/sessions", params={"limit": 200})
        ona.events(f"s-bench{number}")
    link = next(line for line in ona.said().splitlines() if line.startswith("Open "))
    with httpx2.Client(follow_redirects=True, timeout=30) as client:
        client.get(link.removeprefix("Open "))


def _figure(ona: Installation) -> Figure:
    sums, each = [], {}
    for _ in range(SAMPLES):
        each = {name: _pss_mib(ona.processes(f"-m bot {name}")) for name in ("serve", "work")}
        sums.append(sum(each.values()))
        time.sleep(1)
    parts = ", ".join(f"{name} {size:.0f} MiB" for name, size in each.items())
    supervisor = _pss_mib(ona.processes("-m bot up"))
    return Figure(
        name="memory (PSS) of serve and work with 1,000 sessions at rest",
        unit="MiB",
        **spread(sums),
        yardstick="",
        target=f"≤ {LIMIT_MIB} MiB together",
        passed=max(sums) <= LIMIT_MIB,
        note=f"{parts}; `ona up`, which watches them, {supervisor:.0f} MiB more.",
    )


def _pss_mib(pids: list[int]) -> float:
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    assert total or os.getpid() in pids, "no process found"
    return total / 1024
