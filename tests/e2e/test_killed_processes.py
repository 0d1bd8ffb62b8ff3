"""The invariants on real machines, while the processes of an installation are killed and frozen.

    1 Answered once.   2 In order, one at a time.   3 Fenced.   4 Never run twice.   6 No leaks.

The seed is printed; ONA_TEST_SEED repeats one, ONA_TEST_VM_PROMPTS sets how many prompts are run.
"""

import os
import random
import signal
import time
from collections import defaultdict
from pathlib import Path

import httpx2
import pytest

from tests.e2e.installation import Installation, make_repository

PROMPTS = int(os.environ.get("ONA_TEST_VM_PROMPTS", "20"))
SEED = int(os.environ.get("ONA_TEST_SEED", random.randrange(10**6)))
PROMPT_SECONDS_MAX = 40.0

pytestmark = [pytest.mark.vm, pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture
def ona(tmp_path):
    installation = Installation(
        data=tmp_path / "data",
        repository=make_repository(tmp_path / "demo"),
        settings={"ONA_MACHINE__IDLE_SECONDS": "4", "ONA_QUEUE__LEASE_SECONDS": "6"},
    )
    installation.start()
    try:
        installation.until_ready()
        yield installation
    finally:
        installation.end()


class Asker:
    """A client that says each thing until it is acknowledged, whatever happens to `ona serve`."""

    def __init__(self, ona: Installation, sessions: list[str]) -> None:
        self._ona = ona
        self.sessions = sessions
        self.asked: dict[str, list[int]] = defaultdict(list)

    def ask(self, number: int, dice: random.Random) -> None:
        session = dice.choice(self.sessions)
        pause = dice.choice(["0", "0.3", "2", "4"])
        script = f"!echo begin-{number}; sleep {pause}; echo {number} >> ~/ran; echo end-{number}"
        self._ona.until(lambda: self._said(session, script, number), f"prompt {number} accepted")
        self.asked[session].append(number)

    def _said(self, session: str, script: str, number: int) -> bool:
        try:
            self._ona.request(
                "POST",
                "/prompts",
                json={"text": script, "session": session},
                headers={"Idempotency-Key": f"prompt-{number}"},
            )
        except (httpx2.HTTPError, AssertionError):
            return False
        return True


def signalled(ona: Installation, name: str, number: signal.Signals) -> None:
    """Send a signal to `ona serve` or `ona work` if it is there just now."""
    for pid in ona.processes(f"-m bot {name}"):
        os.kill(pid, number)


def blow(ona: Installation, dice: random.Random) -> str:
    """One thing that happens to a process, or a pause in which machines go to rest."""
    kind = dice.choices(["work", "serve", "stall", "hand over", "pause"], [45, 15, 10, 15, 15])[0]
    match kind:
        case "work":
            signalled(ona, "work", signal.SIGKILL)
        case "serve":
            signalled(ona, "serve", signal.SIGKILL)
        case "stall":
            signalled(ona, "work", signal.SIGSTOP)
        case "hand over":
            signalled(ona, "work", signal.SIGTERM)
        case _:
            time.sleep(6)
    return kind


def settled(ona: Installation, sessions: list[str]) -> bool:
    """Whether nothing runs or waits any more."""
    try:
        states = [ona.request("GET", f"/sessions/{one}")["state"] for one in sessions]
    except (httpx2.HTTPError, AssertionError):
        return False
    return all(state == "idle" for state in states)


def every_event(ona: Installation, session: str) -> list[dict]:
    events: list[dict] = []
    while page := ona.events(session, len(events)):
        events += page
    return events


def left_behind(ona: Installation) -> list[str]:
    """What lies in the machines' directory of no machine that rests there."""
    known = {row["id"] for row in ona.request("GET", "/machines")["machines"]}
    return [p.name for p in (ona.data / "host" / "machines").iterdir() if p.name not in known]


def check(ona: Installation, asker: Asker) -> None:
    """Every prompt once, in order, its output whole; the events without a gap."""
    for session, numbers in asker.asked.items():
        events = every_event(ona, session)
        assert [event["number"] for event in events] == list(range(1, len(events) + 1))
        output = "".join(e["body"]["text"] for e in events if e["kind"] == "output")
        assert output == "hello\n" + "".join(f"begin-{n}\nend-{n}\n" for n in numbers)
        ends = [e["body"]["outcome"] for e in events if e["kind"] == "turn.ended"]
        assert ends == ["succeeded"] * (len(numbers) + 1)
        ran = ona.run("!cat ~/ran", session)
        assert ran.output.split() == [str(number) for number in numbers]


def test_answered_once_in_order_never_run_twice_and_nothing_leaks_on_real_machines(ona):
    print(f"ONA_TEST_SEED={SEED}")
    dice = random.Random(SEED)
    sessions = [ona.run("!cat README").session for _ in range(2)]
    asker = Asker(ona, sessions)
    blows: dict[str, int] = defaultdict(int)
    for number in range(PROMPTS):
        asker.ask(number, dice)
        time.sleep(dice.uniform(0, 3))
        if dice.random() < 0.5:
            blows[blow(ona, dice)] += 1
    deadline = time.monotonic() + PROMPTS * PROMPT_SECONDS_MAX
    while not settled(ona, sessions):
        assert time.monotonic() < deadline, f"prompts stay open (seed {SEED}):\n{ona.said()}"
        time.sleep(0.5)
    print(f"blows: {dict(blows)}")
    check(ona, asker)
    for session in sessions:
        ona.until_resting(session)
    assert left_behind(ona) == []
    ona.interrupt()
    assert ona.wait_ended() == 0
    assert ona.processes("") == []


def test_never_run_twice_a_stalled_work_is_ended_before_its_successor_goes_on(ona):
    accepted = ona.ask("!for n in $(seq 40); do echo tick $n; sleep 1; done; echo x >> ~/once")
    ona.wait(accepted, "output")
    (stalled,) = ona.processes("-m bot work")
    os.kill(stalled, signal.SIGSTOP)
    successor = ona.until(
        lambda: [pid for pid in ona.processes("-m bot work") if pid != stalled], "a successor"
    )
    assert len(successor) == 1
    assert not Path(f"/proc/{stalled}").exists()
    events = ona.wait(accepted)
    output = "".join(e["body"]["text"] for e in events if e["kind"] == "output")
    assert output == "".join(f"tick {n}\n" for n in range(1, 41))
    assert ona.run("!cat ~/once", accepted["session"]).output == "x\n"
