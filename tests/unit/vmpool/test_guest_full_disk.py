"""A guest whose disk became full while it ran wakes all the same, as what it was."""

import errno
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from vmpool.guest import thaw
from vmpool.guest.settings import Settings

ONE, OTHER = "0197-aaaa" + "0" * 24, "0197-bbbb" + "0" * 24


def word(machine: str) -> dict[str, Any]:
    identity = {
        "machine": machine,
        "hostname": machine,
        "host_key": "key",
        "host_certificate": "certificate",
        "user_ca": "authority",
    }
    return {"time": 0.0, "entropy": "", "identity": identity}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A machine of its own as far as its files go."""
    etc = tmp_path / "etc"
    etc.mkdir()
    monkeypatch.setattr(thaw, "ETC", str(etc))
    monkeypatch.setattr(socket, "sethostname", lambda name: None)
    for name in ("set_clock", "add_entropy"):
        monkeypatch.setattr(thaw, name, lambda *_: None)
    return Settings(run_directory=str(tmp_path / "run"), state_directory=str(tmp_path / "state"))


def full(patch: pytest.MonkeyPatch, below: str) -> None:
    """No file can be made or written in this directory."""
    real = os.open

    def opened(path: Any, flags: int, *more: Any, **known: Any) -> int:
        if str(path).startswith(below) and flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return real(path, flags, *more, **known)

    patch.setattr(os, "open", opened)


def test_it_is_thawed_again_on_a_full_disk(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    thaw.thaw(word(ONE), settings)
    before = {path.name: path.read_text() for path in Path(thaw.ETC).iterdir()}
    with monkeypatch.context() as patch:
        full(patch, thaw.ETC)
        thaw.thaw(word(ONE), settings)
        # Fail closed: a clone never goes on under the name of another.
        with pytest.raises(OSError, match="No space"):
            thaw.thaw(word(OTHER), settings)
    assert {path.name: path.read_text() for path in Path(thaw.ETC).iterdir()} == before
    thaw.thaw(word(OTHER), settings)
    assert Path(thaw.ETC, "hostname").read_text() == f"{OTHER}\n"
    assert Path(thaw.ETC, "machine-id").read_text() == OTHER.replace("-", "") + "\n"


def test_what_lies_there_and_is_no_text_is_written_anew(settings: Settings) -> None:
    Path(thaw.ETC, "hostname").write_bytes(b"\xff")
    Path(thaw.ETC, "hosts").symlink_to("nowhere")
    thaw.thaw(word(ONE), settings)
    assert Path(thaw.ETC, "hostname").read_text() == f"{ONE}\n"
    assert not Path(thaw.ETC, "hosts").is_symlink()
