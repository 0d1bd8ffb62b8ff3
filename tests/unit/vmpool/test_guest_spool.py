"""The file behind a job's output, at its bounds."""

from pathlib import Path

from vmpool.guest.spool import Spool


def test_what_fits_is_kept_and_the_rest_counted(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "out"), bytes_max=10)
    spool.create()
    spool.append(b"12345678")
    spool.append(b"abcdef")
    spool.append(b"gone")
    spool.close()
    assert (tmp_path / "out").read_bytes() == b"12345678ab"
    assert (spool.length, spool.dropped) == (10, 8)


def test_a_full_disk_drops_and_never_leaves_a_gap() -> None:
    spool = Spool("/dev/full", bytes_max=100)
    spool.create()
    spool.append(b"lost")
    spool.append(b"lost too, for what came before is missing")
    assert (spool.length, spool.dropped) == (0, 45)
    spool.close()


def test_after_the_close_everything_is_dropped(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "out"), bytes_max=100)
    spool.create()
    spool.append(b"kept")
    spool.close()
    spool.close()
    spool.append(b"late")
    assert (spool.length, spool.dropped) == (4, 4)


def test_an_earlier_life_is_taken_over_by_length(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"from before")
    spool = Spool(str(tmp_path / "out"), bytes_max=100)
    spool.recover(dropped=3)
    assert (spool.length, spool.dropped) == (11, 3)
    missing = Spool(str(tmp_path / "none"), bytes_max=100)
    missing.recover(dropped=0)
    assert missing.length == 0
