"""`ona preview` in a machine: an address for a port of it, while a turn runs."""

import asyncio
import os
import re
import sys
from pathlib import Path

from bot.config import Settings
from bot.work.agent_previews import FORWARDED_MAX, forward
from tests.integration.gateway.test_project_routes import begun, desk
from tests.support.gateway import LOOPBACK
from tests.support.shift import Shift, until

GUEST = Path(__file__).parents[3] / "vmpool" / "guest"
ADDRESS = re.compile(r"http://[0-9a-f]{32}\.preview\.localhost:8484/")


async def test_ona_preview_prints_one_address_for_a_port(town, places, tmp_path):
    tool = tmp_path / "bin" / "ona-preview"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {GUEST / "preview.py"} "$@"\n')
    tool.chmod(0o755)

    async def asks(*arguments: str) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-IS", str(GUEST / "command.py"), *arguments),
            env={"ONA_GATEWAY": f"{LOOPBACK}:{at.at.web}", "PATH": f"{tool.parent}:{os.defpath}"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        return process.returncode or 0, out.decode().strip(), err.decode()

    async with desk(town, tmp_path) as at, Shift(town, places, "w"):
        await begun(town)
        status, address, err = await asks("preview", "3000")
        assert status == 0, err
        assert ADDRESS.fullmatch(address)
        assert await asks("preview", "3000") == (0, address, "")
        assert (await asks("preview", "3001"))[1] != address
        for wrong in ("0", "65536", "99999999"):
            status, _, err = await asks("preview", wrong)
            assert status == 1
            assert "from 1 to 65535" in err
        assert [(await asks(*words))[0] for words in ((), ("preview",), ("rm",))] == [2, 2, 2]
        at.go.touch()
        await until(town, "SELECT state FROM turn", lambda rows: rows[0][0] == "succeeded")
        status, _, err = await asks("preview", "3000")
        assert (status, "No turn is running" in err) == (1, True)
    rows = await town.rows(
        "SELECT preview.port, person.name FROM preview JOIN person ON person.id = created_by"
        " ORDER BY port"
    )
    assert rows == [(3000, "Ann"), (3001, "Ann")]
    kinds = await town.rows(
        "SELECT kind, who, surface FROM audit_event WHERE kind = 'preview.made'"
    )
    assert kinds == [("preview.made", "agent", "gateway")] * 2


async def test_ports_of_a_project_get_addresses_once_and_no_more_than_a_few(town):
    await town.say("hello")
    session = await town.value("SELECT id FROM session")
    settings = Settings(port=8484)
    first = await forward(settings, town.database, session, [3000, 3001])
    assert [port for port, _ in first] == [3000, 3001]
    assert all(ADDRESS.fullmatch(address) for _, address in first)
    assert await forward(settings, town.database, session, [3000, 3001]) == first
    many = await forward(settings, town.database, session, range(4000, 4100))
    assert [port for port, _ in many] == [*range(4000, 4000 + FORWARDED_MAX)]
    by = await town.rows(
        "SELECT DISTINCT who, surface FROM audit_event WHERE kind = 'preview.made'"
    )
    assert by == [("project", "machine")]


async def test_where_previews_have_no_host_name_there_are_none_and_the_session_begins(town):
    await town.say("hello")
    session = await town.value("SELECT id FROM session")
    settings = Settings(port=8484, public_url="https://ona.example.net")
    assert await forward(settings, town.database, session, [3000]) == []
    assert await town.value("SELECT count(*) FROM preview") == 0
