"""What a rest accepts and refuses, on plain files."""

import errno
import json
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vmpool.rest import MEMORY, Rest, RestState, Stamp
from vmpool.rest_files import EDGE_BYTES

STAMP = Stamp(build="7.2.22 (Debian)", fingerprint="f1", boot_id="b1")
NEVER = threading.Event()


def settle(rest: Rest, stop: threading.Event) -> None:
    """As it is done after a hibernation."""
    rest.make_durable(flushed=rest.flush())
    rest.digest(stop)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    machine = tmp_path / "machine"
    machine.mkdir()
    (machine / "disk").write_bytes(b"disk" * 100)
    (machine / "spec.json").write_text("{}")
    (tmp_path / "base").write_bytes(b"base" * 100)
    return machine


@pytest.fixture
def rest(machine: Path) -> Rest:
    """A complete rest with a memory larger than its two edges."""
    rest = Rest(machine)
    rest.begin().write_bytes(os.urandom(3 * EDGE_BYTES))
    rest.commit(STAMP, small=["spec.json"], large=["disk", str(machine.parent / "base")])
    return rest


def test_a_committed_rest_is_complete_and_accepted(rest: Rest) -> None:
    assert rest.state is RestState.COMPLETE
    assert not rest.durable
    assert rest.refusal(STAMP) is None
    assert not rest.partial.exists()


def test_nothing_there_is_refused(machine: Path) -> None:
    rest = Rest(machine)
    assert rest.state is RestState.NONE
    assert rest.refusal(STAMP) == "there is no rest"


def test_a_half_written_rest_is_refused(machine: Path) -> None:
    rest = Rest(machine)
    rest.begin().write_bytes(b"half")
    assert rest.state is RestState.PARTIAL
    assert "half-written" in (rest.refusal(STAMP) or "")


def test_beginning_again_drops_what_was_partial(machine: Path) -> None:
    rest = Rest(machine)
    rest.begin().write_bytes(b"half")
    assert not rest.begin().exists()


def test_an_abandoned_rest_leaves_nothing(machine: Path) -> None:
    rest = Rest(machine)
    rest.begin().write_bytes(b"half")
    rest.abandon()
    rest.abandon()
    assert rest.state is RestState.NONE


def test_a_rest_that_was_used_up_is_refused_for_ever(rest: Rest) -> None:
    rest.use_up()
    assert rest.state is RestState.USED
    assert "used up" in (rest.refusal(STAMP) or "")
    rest.drop_used()
    assert rest.state is RestState.NONE
    rest.sweep()
    assert list(rest.machine.glob("rest*")) == []


@pytest.mark.parametrize(
    ("who", "why"),
    [
        (replace(STAMP, build="8.0"), "was written by 7.2.22 .Debian., here is 8.0"),
        (replace(STAMP, fingerprint="f2"), "another machine configuration"),
        (replace(STAMP, boot_id="b2"), "before its rest was safely on disk"),
    ],
)
def test_another_resumer_is_refused(rest: Rest, who: Stamp, why: str) -> None:
    found = rest.refusal(who) or ""
    assert why.replace(".Debian.", "(Debian)") in found


def test_a_durable_rest_survives_another_boot(rest: Rest) -> None:
    settle(rest, NEVER)
    assert rest.durable
    assert rest.refusal(replace(STAMP, boot_id="b2")) is None


def _edit(name: str, change: Callable[[bytes], bytes]) -> Callable[[Rest], None]:
    def spoil(rest: Rest) -> None:
        path = rest.machine / name
        path.write_bytes(change(path.read_bytes()))

    return spoil


def _other_format(rest: Rest) -> None:
    import hashlib

    path = rest.complete / "rest.json"
    body = json.dumps({**json.loads(json.loads(path.read_text())["body"]), "format": 99})
    seal = hashlib.sha256(body.encode()).hexdigest()
    path.write_text(json.dumps({"body": body, "sha256": seal}))


SPOILT: dict[str, Callable[[Rest], None]] = {
    "memory a byte short": _edit("rest/memory", lambda data: data[:-1]),
    "memory a byte long": _edit("rest/memory", lambda data: data + b"x"),
    "memory altered at its head": _edit("rest/memory", lambda data: b"\0" * 8 + data[8:]),
    "memory altered at its tail": _edit("rest/memory", lambda data: data[:-8] + b"\0" * 8),
    "memory missing": lambda rest: (rest.complete / MEMORY).unlink(),
    "disk of another length": _edit("disk", lambda data: data * 2),
    "disk missing": lambda rest: (rest.machine / "disk").unlink(),
    "base of another length": _edit("../base", lambda data: data * 2),
    "spec altered": _edit("spec.json", lambda data: data + b" "),
    "spec missing": lambda rest: (rest.machine / "spec.json").unlink(),
    "manifest missing": lambda rest: (rest.complete / "rest.json").unlink(),
    "manifest cut": _edit("rest/rest.json", lambda data: data[: len(data) // 2]),
    "manifest altered": _edit("rest/rest.json", lambda data: data.replace(b"7.2.22", b"7.2.23")),
    "manifest empty": _edit("rest/rest.json", lambda data: b""),
    "manifest huge": _edit("rest/rest.json", lambda data: data * 1000),
    "manifest of another kind": _edit("rest/rest.json", lambda data: b"[]"),
    "manifest of another format": _other_format,
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_rest_is_refused_with_a_sentence(rest: Rest, how: str) -> None:
    SPOILT[how](rest)
    assert rest.refusal(STAMP)


def test_an_alteration_in_the_middle_is_found_by_scrubbing(rest: Rest) -> None:
    settle(rest, NEVER)
    assert rest.scrub(NEVER) is None
    data = bytearray((rest.complete / MEMORY).read_bytes())
    data[len(data) // 2] ^= 1
    (rest.complete / MEMORY).write_bytes(data)
    assert rest.refusal(STAMP) is None
    assert rest.scrub(NEVER)
    assert rest.refusal(STAMP) == "its memory was altered on disk"


def test_a_rest_that_never_settled_has_nothing_to_scrub_against(rest: Rest) -> None:
    assert rest.scrub(NEVER) is None


def test_a_scrub_that_finds_nothing_wrong_says_when(rest: Rest) -> None:
    assert rest.scrubbed_at is None
    settle(rest, NEVER)
    os.utime(rest.complete / "digest", (1, 1))
    assert rest.scrubbed_at == 1
    assert rest.scrub(NEVER) is None
    assert (rest.scrubbed_at or 0) > 1


def test_a_scrub_that_is_stopped_says_nothing(rest: Rest) -> None:
    settle(rest, NEVER)
    (rest.complete / MEMORY).write_bytes(b"altered")
    stopped = threading.Event()
    stopped.set()
    assert rest.scrub(stopped) is None
    assert rest.scrub(NEVER)


def test_settling_stops_early_when_told_and_goes_on_later(rest: Rest) -> None:
    stopped = threading.Event()
    stopped.set()
    settle(rest, stopped)
    assert (rest.durable, rest.settled) == (True, False)
    settle(rest, NEVER)
    assert rest.settled


@pytest.mark.parametrize("step", ["flush", "make_durable"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENODEV, errno.ENOSPC, errno.EDQUOT])
def test_what_a_disk_lost_is_refused_from_then_on(
    rest: Rest, monkeypatch: pytest.MonkeyPatch, step: str, number: int
) -> None:
    def fail(fd: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match=os.strerror(number)):
            getattr(rest, step)()
    assert not rest.durable
    settle(rest, NEVER)  # the kernel says each loss once: this one goes well
    assert not rest.durable
    assert rest.settled
    assert rest.refusal(STAMP) == "the disk did not keep its rest"


@pytest.mark.parametrize("step", ["flush", "make_durable"])
def test_what_a_full_disk_lost_is_refused_though_there_is_no_room_to_say_so(
    rest: Rest, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_args: object, **_known: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        patch.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="No space"):
            getattr(rest, step)()
    settle(rest, NEVER)
    assert not rest.durable
    assert rest.refusal(STAMP)
    assert rest.scrub(NEVER) is None


def test_a_disk_that_is_full_when_it_is_marked_loses_nothing(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, mode: int = 0o666, exist_ok: bool = True) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "touch", full)
        with pytest.raises(OSError, match="No space"):
            rest.make_durable()
    assert not rest.durable
    assert rest.refusal(STAMP) is None
    settle(rest, NEVER)
    assert rest.durable


class Asked(threading.Event):
    """Notes that somebody asked before a chunk was worked on."""

    asked = False

    def is_set(self) -> bool:
        self.asked = True
        return super().is_set()


def test_without_room_for_a_digest_no_memory_is_read(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object, **_known: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        stop = Asked()
        with pytest.raises(OSError, match="No space"):
            rest.digest(stop)
    assert not stop.asked
    rest.digest(stop)
    assert stop.asked
    assert rest.scrub(NEVER) is None


def test_a_memory_that_the_disk_does_not_give_back_is_refused(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(rest, NEVER)
    real = Path.open

    def unreadable(path: Path, *args: Any, **known: Any) -> Any:
        if path.name == MEMORY:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, *args, **known)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", unreadable)
        assert rest.scrub(NEVER) == "the disk does not give its memory back"
    assert rest.refusal(STAMP) == "the disk does not give its memory back"


def test_bringing_a_rest_to_the_disk_does_not_make_it_durable(rest: Rest) -> None:
    assert rest.flush()
    assert not rest.durable


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what was fsynced."""
    names, fsync = [], os.fsync

    def noted(fd: int) -> None:
        names.append(Path(os.readlink(f"/proc/self/fd/{fd}")).name)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", noted)
    return names


def test_after_a_flush_only_what_the_process_writes_is_brought_to_the_disk_again(
    rest: Rest, asked: list[str]
) -> None:
    all_of_it = {MEMORY, "disk", "spec.json", "rest.json", "rest", "machine"}
    assert rest.flush()
    assert set(asked) == all_of_it | {rest.machine.parent.name}
    asked.clear()
    rest.make_durable(flushed=True)
    assert asked == [MEMORY, "disk", "rest"]
    assert rest.durable


def test_what_was_not_flushed_whole_is_brought_to_the_disk_whole(
    rest: Rest, asked: list[str]
) -> None:
    spec = rest.machine / "spec.json"
    spec.rename(spec.with_suffix(".away"))
    assert not rest.flush()
    spec.with_suffix(".away").rename(spec)
    asked.clear()
    rest.make_durable(flushed=False)
    assert {MEMORY, "disk", "spec.json", "rest.json", "rest", "machine"} < set(asked)
    assert rest.durable


def test_settling_what_was_used_up_or_removed_meanwhile_is_no_error(rest: Rest) -> None:
    rest.use_up()
    settle(rest, NEVER)
    shutil.rmtree(rest.machine)
    settle(rest, NEVER)


def test_a_used_rest_does_not_hide_a_complete_one(rest: Rest) -> None:
    rest.used.mkdir()
    assert rest.state is RestState.COMPLETE
    rest.use_up()
    assert (rest.used / MEMORY).exists()
