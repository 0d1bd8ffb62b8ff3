"""What makes a machine new when it wakes: told by its host, done by its guest, in which order."""

import asyncio
import base64
import os
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from tests.unit.vmpool.test_channel_handshake import good, heard, say, stage
from vmpool.guest import thaw
from vmpool.guest.settings import Settings
from vmpool.handshake import greet
from vmpool.ssh import HostIdentity

ENTROPY = os.urandom(64)
IDENTITY = {
    "machine": "4f3c1a52-0000-4000-8000-000000000001",
    "hostname": "m-1",
    "host_key": "a key",
    "host_certificate": "a certificate",
    "user_ca": "an authority",
}
WORD = {"time": 1.5, "entropy": base64.b64encode(ENTROPY).decode(), "identity": IDENTITY}
ORDER = ["clock", "entropy", "reseed", "host name", "machine-id", "host_key", "user_ca.pub"]

Noted = list[tuple[str, Any]]


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> Noted:
    """What is done to the machine instead of doing it to this host."""
    done: Noted = []

    def ioctl(_: int, request: int, *given: bytes) -> None:
        name = {thaw.RNDADDENTROPY: "entropy", thaw.RNDRESEEDCRNG: "reseed"}[request]
        done.append((name, *given) if given else (name, None))

    def write(path: str, text: str, mode: int) -> None:
        done.append((Path(path).name, text))

    monkeypatch.setattr(thaw.time, "clock_settime", lambda _, at: done.append(("clock", at)))
    monkeypatch.setattr(thaw.fcntl, "ioctl", ioctl)
    monkeypatch.setattr(thaw.socket, "sethostname", lambda name: done.append(("host name", name)))
    monkeypatch.setattr(thaw, "_write", write)
    return done


def names(noted: Noted) -> list[str]:
    return [name for name, _ in noted if name in ORDER]


def test_clock_and_entropy_are_new_before_the_machine_has_a_name_or_lets_anybody_in(
    tmp_path: Path, noted: Noted
) -> None:
    thaw.thaw(WORD, Settings(run_directory=str(tmp_path)))
    assert names(noted) == ORDER
    known = dict(noted)
    assert (known["clock"], known["host name"]) == (1.5, "m-1")
    assert known["machine-id"] == IDENTITY["machine"].replace("-", "") + "\n"
    bits, length = struct.unpack("ii", known["entropy"][:8])
    # All of it counts, else the kernel would not reseed from it.
    assert (bits, length) == (8 * len(ENTROPY), len(ENTROPY))
    assert known["entropy"][8:] == ENTROPY


@pytest.mark.parametrize(("what", "done"), [("fcntl.ioctl", 1), ("socket.sethostname", 3)])
def test_after_what_fails_nothing_more_is_done(
    tmp_path: Path, noted: Noted, monkeypatch: pytest.MonkeyPatch, what: str, done: int
) -> None:
    def fails(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(what, fails)
    with pytest.raises(PermissionError):
        thaw.thaw(WORD, Settings(run_directory=str(tmp_path)))
    assert names(noted) == ORDER[:done]


@pytest.mark.parametrize("entropy", ["", base64.b64encode(bytes(31)).decode(), "no base64!"])
def test_with_too_little_entropy_nothing_goes_on(
    tmp_path: Path, noted: Noted, entropy: str
) -> None:
    with pytest.raises(ValueError, match=r"entropy|base64|Only|padding"):
        thaw.thaw({**WORD, "entropy": entropy}, Settings(run_directory=str(tmp_path)))
    assert names(noted) == ["clock"]


async def test_each_machine_is_told_the_time_of_that_moment_and_bytes_of_its_own() -> None:
    words: list[dict[str, Any]] = []

    async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = await heard(reader)
        said = {"op": "hello", "protocol": 1, "boot": "b", "generation": 1, "token": 1}
        say(writer, hello["nonce"], **said)
        words.append(await heard(reader))
        say(writer, words[-1]["nonce"], op="thawed")
        await good(reader, writer)

    host = HostIdentity(private_key="k", certificate="c", hostname="m-1.ona")
    began = time.time()
    async with stage(listens) as made:
        for _ in range(2):
            talk = await greet(made.connect, machine_id="m", token=1, deadline_seconds=20)
            await talk.thaw(machine_id="m", generation=2, host=host, user_ca="u")
            talk.close()
    one, two = words
    assert began <= one["time"] <= two["time"] <= time.time()
    drawn = [base64.b64decode(word["entropy"]) for word in words]
    assert all(len(each) >= thaw.ENTROPY_BYTES_MIN for each in drawn)
    assert drawn[0] != drawn[1]
    assert (one["generation"], one["identity"]["hostname"]) == (2, "m-1")
