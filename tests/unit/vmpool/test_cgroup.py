"""Which cgroups are made for machines, on a directory that looks like the kernel's."""

import os
from pathlib import Path

import pytest

from vmpool.drivers.cgroup import Bounds, Cgroups, entering
from vmpool.drivers.process import ended, start

BOUNDS = Bounds(memory_mib=640, cpus=2)


def tree(place: Path, controllers: str = "cpu io memory pids") -> Path:
    """A cgroup as the kernel shows it."""
    place.mkdir(exist_ok=True)
    (place / "cgroup.controllers").write_text(controllers)
    (place / "cgroup.subtree_control").write_text("")
    (place / "cgroup.procs").write_text("")
    return place


async def ran(cgroups: Cgroups, token: str, log: Path, *command: str) -> int | None:
    """Run a command in a launch's cgroup; its wait status."""
    entry = cgroups.entry(token, BOUNDS)
    assert entry is not None
    try:
        process = start([*entering(3), *command], output=log, fds=[entry])
    finally:
        os.close(entry)
    return await ended(process)


@pytest.mark.parametrize(
    ("controllers", "said"),
    [(None, "no cgroup of version 2"), ("cpu io", "memory, pids")],
)
def test_where_there_is_no_control_it_is_said(
    tmp_path: Path, controllers: str | None, said: str
) -> None:
    if controllers is not None:
        tree(tmp_path, controllers)
    found = Cgroups.of(Path("/m"), mount=tmp_path)
    assert said in found.why_not
    assert found.entry("m1", BOUNDS) is None
    assert found.sweep([]) == []
    found.leave("m1")
    found.close()


def test_two_installations_have_cgroups_of_their_own(tmp_path: Path) -> None:
    tree(tmp_path)
    names = {str(Cgroups.of(Path(root), mount=tmp_path)._parent) for root in ("/a", "/b")}
    assert len(names) == 2 or Cgroups.of(Path("/a"), mount=tmp_path).why_not


async def test_a_command_enters_before_it_runs(tmp_path: Path) -> None:
    parent = tree(tree(tmp_path) / "ona")
    place, log = tree(parent / "m1"), tmp_path / "log"
    script = "echo $$; ls -l /proc/$$/fd | grep -c cgroup.procs"
    await ran(Cgroups(parent), "m1", log, "sh", "-c", script)
    pid, held = log.read_text().split()
    assert (place / "cgroup.procs").read_text().split() == [pid]
    assert held == "0", "it can't bring others in"
    assert (place / "memory.max").read_text() == str(640 << 20)
    assert (place / "cpu.max").read_text() == "300000 100000"
    assert (place / "pids.max").read_text() == "256"
    assert (place / "memory.oom.group").read_text() == "1"
    assert (place / "cpu.weight").read_text() == "50", "half of what others have"
    assert (place / "io.weight").read_text() == "default 50"


async def test_a_command_that_can_not_enter_does_not_run(tmp_path: Path) -> None:
    parent = tree(tree(tmp_path) / "ona")
    place = tree(parent / "m1")
    (place / "cgroup.procs").unlink()
    (place / "cgroup.procs").symlink_to("/dev/full")
    status = await ran(Cgroups(parent), "m1", tmp_path / "log", "touch", str(tmp_path / "ran"))
    assert status
    assert not (tmp_path / "ran").exists()


def test_cgroups_of_no_machine_are_swept(tmp_path: Path) -> None:
    cgroups = Cgroups(tmp_path / "ona")
    for name in ("known", "stray"):
        (tmp_path / "ona" / name).mkdir(parents=True)
    (tmp_path / "ona" / "stray").joinpath("cgroup.kill").write_text("")
    # What the kernel refuses with one keeps no other from going.
    (tmp_path / "ona" / "a-refused-one" / "cgroup.kill").mkdir(parents=True)
    assert sorted(cgroups.sweep(["known"])) == ["a-refused-one", "stray"]
    assert (tmp_path / "ona" / "stray" / "cgroup.kill").read_text() == "1"
    assert (tmp_path / "ona" / "known").exists()
