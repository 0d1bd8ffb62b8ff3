"""A whole installation under test: `ona up` on a data directory of its own, asked over its API."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.fakes.caches import images_dir

STEP_SECONDS_MAX = 180.0
"""A machine boots in seconds, but under emulation on a busy host it takes its time."""

SAID_CHARACTERS_MAX = 8000
"""Of what an installation printed, beside a test that failed."""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def make_repository(directory: Path) -> Path:
    """A small repository with one commit."""
    directory.mkdir(parents=True)
    (directory / "README").write_text("hello\n")
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "First"]):
        subprocess.run(["git", *identity, *words], cwd=directory, check=True)
    return directory


@dataclass
class Turn:
    """How a turn went."""

    session: str
    outcome: str
    output: str
    notices: list[str]
    body: dict[str, Any]


def of_turn(events: list[dict[str, Any]], accepted: dict[str, Any]) -> list[dict[str, Any]]:
    """Those of the turn that runs the accepted prompt."""
    turns = [
        event["turn"]
        for event in events
        if event["kind"] == "turn.started" and event["body"]["prompt"] == accepted["prompt"]
    ]
    return [event for event in events if turns and event["turn"] == turns[0]]


@dataclass
class Installation:
    """`ona up` as a process."""

    data: Path
    repository: Path
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    step_seconds_max: float = STEP_SECONDS_MAX

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("ONA_")}
        return {
            **kept,
            "ONA_DATA_DIR": str(self.data),
            "ONA_IMAGES_DIR": str(images_dir()),
            "ONA_PORT": str(self.port),
            "ONA_SIZES__MEDIUM__MEMORY_MIB": "512",
            # Where there is no KVM, a template that is built meanwhile takes the processors.
            "ONA_POOL__ENABLED": "false",
            # One that is asked for nothing costs each start some seconds.
            "ONA_VAULT__EMBEDDED": "false",
            **self.settings,
        }

    @property
    def log(self) -> Path:
        return self.data.with_suffix(".log")

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bot", "up"],
                cwd=self.repository,
                env={**self.environment, "PYTHONPATH": str(Path(__file__).parents[2])},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def interrupt(self) -> None:
        """Ctrl-C, once."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)

    def wait_ended(self) -> int:
        assert self.process is not None
        return self.process.wait(timeout=self.step_seconds_max)

    def said(self) -> str:
        """Everything that `ona up` printed."""
        return self.log.read_text(errors="replace")

    def until_ready(self, times: int = 1) -> None:
        self.until(lambda: self.said().count("Ready after") >= times, "ona up to be ready")

    def until(self, holds: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + self.step_seconds_max
        while time.monotonic() < deadline:
            value = holds()
            if value:
                return value
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"ona up ended while waiting for {what}: {self.said()}")
            time.sleep(0.2)
        raise AssertionError(f"waited too long for {what}:\n{self.said()[-3000:]}")

    # -- the API ----------------------------------------------------------------------------

    def request(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any
    ) -> Any:
        token = (self.data / "cli-token").read_text().strip()
        answer = httpx2.request(
            method,
            f"http://127.0.0.1:{self.port}/api/v1{path}",
            headers={"Authorization": f"Bearer {token}", **(headers or {})},
            timeout=30,
            **more,
        )
        assert answer.status_code < 400, answer.text
        return answer.json()

    def ask(self, text: str, session: str | None = None) -> dict[str, Any]:
        body: dict[str, Any] = {"text": text}
        body.update({"session": session} if session else {"new": True})
        accepted = self.request("POST", "/prompts", json=body)
        assert isinstance(accepted, dict)
        return accepted

    def events(self, session: str, after: int = 0) -> list[dict[str, Any]]:
        page = self.request("GET", f"/sessions/{session}/events", params={"after": after})
        return list(page["events"])

    def wait(self, accepted: dict[str, Any], kind: str = "turn.ended") -> list[dict[str, Any]]:
        """The events from the prompt to the first one of `kind` in its turn."""
        seen: list[dict[str, Any]] = []

        def found() -> bool:
            last = seen[-1]["number"] if seen else accepted["event"]
            seen.extend(self.events(accepted["session"], last))
            return any(event["kind"] == kind for event in of_turn(seen, accepted))

        self.until(found, f"{kind} in {accepted['session']}")
        return seen

    def run(self, text: str, session: str | None = None) -> Turn:
        """Ask, wait for the outcome and return it."""
        accepted = self.ask(text, session)
        events = self.wait(accepted)
        turn = of_turn(events, accepted)
        ended = turn[-1]
        assert ended["kind"] == "turn.ended"
        notices = [one for one in events if one["kind"] == "notice"]
        outputs = [one for one in turn if one["kind"] == "output"]
        return Turn(
            session=accepted["session"],
            outcome=ended["body"]["outcome"],
            output="".join(one["body"]["text"] for one in outputs),
            notices=[one["body"]["text"] for one in notices],
            body=ended["body"],
        )

    def machine(self, session: str) -> dict[str, Any] | None:
        machines = self.request("GET", "/machines")
        rows = machines["machines"] if isinstance(machines, dict) else machines
        alive = [row for row in rows if row["session"] == session and row["state"] != "gone"]
        return alive[0] if alive else None

    def until_resting(self, session: str) -> None:
        self.until(
            lambda: (self.machine(session) or {}).get("state") == "resting",
            f"the machine of {session} to rest",
        )

    # -- its processes ----------------------------------------------------------------------

    def processes(self, word: str) -> list[int]:
        """Processes of this installation whose command line has `word`."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace")
                environment = (entry / "environ").read_bytes().decode(errors="replace")
            except OSError:
                continue
            ours = str(self.data) in words or str(self.data) in environment
            if ours and word in words.replace("\0", " "):
                found.append(int(entry.name))
        return found

    def kill_work(self) -> None:
        """SIGKILL for `ona work`, which the supervisor replaces."""
        (pid,) = self.processes("-m bot work")
        os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        """Whatever it takes; what it printed stands beside a test that failed."""
        print(self.said()[-SAID_CHARACTERS_MAX:])
        if self.process is not None and self.process.poll() is None:
            self.interrupt()
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid in self.processes(""):
            if pid != os.getpid():
                os.kill(pid, signal.SIGKILL)
