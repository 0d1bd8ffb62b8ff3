"""What a project shows on a port, as a picture that a machine of its own took."""

import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bot.store.database import conninfo
from tests.e2e.delivery_world import KEYS, shell_of
from tests.e2e.installation import Installation, make_repository
from tests.fakes.model import Model, Step, model, script
from vmpool.guest import picture
from vmpool.network import slots

pytestmark = [
    pytest.mark.vm,
    pytest.mark.long,
    pytest.mark.timeout(5400),
    pytest.mark.skipif(bool(slots.missing()), reason=f"no network slots: {slots.missing()}"),
]


SHOWN = script(
    "SHOWIT",
    Step(says="I write. ", **shell_of("claude-code", "echo 1 > new")),
    Step(says="There it is."),
)


@pytest.fixture
def provider() -> Iterator[Model]:
    with model(SHOWN) as running:
        yield running


def test_a_turn_that_delivers_shows_the_port_that_its_project_names(
    tmp_path: Path, database_url: str, provider: Model
) -> None:
    work = make_repository(tmp_path / "demo")
    subprocess.run(["git", "clone", "-q", "--bare", work, tmp_path / "demo.git"], check=True)
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    ona = Installation(
        data=tmp_path / "data",
        repository=nowhere,
        # A browser is installed under emulation first.
        step_seconds_max=2400.0,
        settings={
            "ONA_DATABASE__URL": database_url,
            "ONA_MODELS__ANTHROPIC__URL": provider.url,
            "ONA_MODELS__ANTHROPIC__KEY": KEYS["anthropic"],
            "ONA_POOL__ENABLED": "true",
            "ONA_POOL__SETUP_MINUTES": "40",
            "ONA_SIZES__MEDIUM__MEMORY_MIB": "1024",
            "ONA_POLICY__ALLOW": ",".join(archive()),
        },
    )
    ona.start()
    try:
        ona.until_ready()
        new = {
            "name": "demo",
            "repository_url": str(tmp_path / "demo.git"),
            "ports": [8000],
            "start": ["exec python3 -m http.server 8000"],
        }
        ona.request("POST", "/projects", json=new)
        ona.until(lambda: steps_of(database_url), "a template")
        assert ("install chromium", 0) in steps_of(database_url)
        accepted = ona.ask("SHOWIT please")
        events = ona.wait(accepted)
        assert events[-1]["body"]["outcome"] == "succeeded", events[-1]
        shown = next((one for one in events if one["kind"] == "picture"), None)
        assert shown is not None, why_not(ona)
        ((data,),) = asked(
            database_url, "SELECT data FROM picture WHERE id = %s", shown["body"]["picture"]
        )
        size = struct.unpack(">II", data[16:24])
        assert size == (picture.WIDTH_PIXELS, picture.HEIGHT_PIXELS)
    finally:
        ona.end()


def why_not(ona: Installation) -> list[str]:
    """What the log has of pictures that were not taken."""
    lines = (ona.data / "logs" / "work.log").read_text().splitlines()
    return [line for line in lines if "preview_not_shown" in line]


def archive() -> list[str]:
    """Lines of policy for the distribution's archive, which may be a mirror nearby."""
    found = socket.getaddrinfo("deb.debian.org", 80, proto=socket.IPPROTO_TCP)
    return ["deb.debian.org", *sorted({f"{address[0]}:80" for *_, address in found})]


def steps_of(database_url: str) -> list[tuple[str, int]]:
    """Of a template that is ready: each with how it ended."""
    found = asked(database_url, "SELECT steps FROM template WHERE state = 'ready'")
    return [(one["step"], one["exit_status"]) for (steps,) in found for one in steps]


def asked(database_url: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(conninfo(database_url)) as connection:
        return connection.execute(statement.encode(), values).fetchall()
