"""What a turn left running, when the next turn is of the same person, and of another."""

from pathlib import Path

from bot.work.left_running import alive_of, names_of
from tests.fakes.guest import HostedGuest
from tests.fakes.guest_workplaces import GuestWorkplaces
from tests.integration.conftest import Town
from tests.support.shift import Shift, until
from vmpool.login import Authority

TURNS = "SELECT state FROM turn ORDER BY started_at"
TOLD = """
    SELECT body ->> 'text' FROM turn_event WHERE kind = 'notice' ORDER BY number
"""


def leave(directory: Path, name: str, ignoring: str = "") -> str:
    """A command that ends and leaves a program that has written its pid."""
    inner = f"{ignoring}echo $$ > {directory / name}; while :; do sleep 600; done"
    wait = f"until [ -s {directory / name} ]; do sleep 0.01; done"
    return f"!sh -c '{inner}' > /dev/null 2>&1 & {wait}"


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def succeeded(town: Town, times: int) -> None:
    await until(town, TURNS, lambda rows: rows == [("succeeded",)] * times)


async def test_it_is_ended_before_the_turn_of_somebody_else_and_the_thread_is_told(
    town: Town, places: GuestWorkplaces, tmp_path: Path
) -> None:
    async with Shift(town, places, "w"):
        await town.say(leave(tmp_path, "anns"), by="Ann")
        await succeeded(town, 1)
        await town.say(leave(tmp_path, "anns_own", "trap : TERM; "), by="Ann")
        await succeeded(town, 2)
        pids = [int((tmp_path / name).read_text()) for name in ("anns", "anns_own")]
        assert all(map(is_alive, pids)), "one's own goes on"
        assert await town.rows(TOLD) == []
        both = " || ".join(f"kill -0 {pid}" for pid in pids)
        await town.say(f"!if {both}; then exit 1; fi", by="Bo")
        await succeeded(town, 3)
    assert not any(map(is_alive, pids)), "though one of them ignores being asked"
    ((told,),) = await town.rows(TOLD)
    assert told.startswith("What was left running in the machine by what Ann asked was ended")
    before = "SELECT number < (SELECT min(number) FROM turn_event WHERE turn_id = (SELECT id FROM"
    before += " turn ORDER BY started_at DESC LIMIT 1)) FROM turn_event WHERE kind = 'notice'"
    assert await town.value(before), "while no turn ran"


async def test_a_turn_of_somebody_else_waits_while_it_cannot_be_ended(
    town: Town, guest: HostedGuest, places: GuestWorkplaces, tmp_path: Path
) -> None:
    await town.say(leave(tmp_path, "anns"), by="Ann")
    async with Shift(town, places, "w"):
        await succeeded(town, 1)
        await places.channel.close()
        await town.say("!true", by="Bo")
        ((told,),) = await until(town, TOLD, bool)
        assert told.startswith("This turn waits: what was left running")
        assert "Ann" in told
        assert is_alive(int((tmp_path / "anns").read_text()))
        assert await town.rows(TURNS) == [("succeeded",)], "the gateway stays closed"
        newer = await guest.open(await Authority.load(tmp_path / "ca"), token=2)
        places.go_through(newer)
        await succeeded(town, 2)
        await newer.close()
    assert not is_alive(int((tmp_path / "anns").read_text()))


def test_only_what_runs_and_was_somebody_else_s_counts() -> None:
    theirs = {"1": "Ann", "2": "Cy", "3": "Ann"}
    assert alive_of(["3", "services", "1"], theirs) == ["3", "1"]
    assert names_of(["3", "2", "1"], theirs) == "Ann, Cy"
