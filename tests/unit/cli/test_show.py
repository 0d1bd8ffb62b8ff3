"""Tables for people, as wide as they are."""

import io
import sys

import pytest

from bot.cli import show

ROWS = [{"name": "demo", "why": "it waits because the host has no memory left for it"}]
COLUMNS = {"name": "name", "why": "why"}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def printed(monkeypatch):
    def printed(columns: int, out: io.StringIO) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr(sys, "stdout", out)
        show.table(ROWS, COLUMNS, empty="")
        return out.getvalue().splitlines()

    return printed


def test_a_last_column_that_is_too_wide_goes_on_below_itself(printed):
    lines = printed(30, Terminal())
    assert max(map(len, lines)) <= 30
    assert lines[1].startswith("demo  it waits because")
    assert all(line.startswith("      ") for line in lines[2:])
    assert " ".join(" ".join(lines[1:]).split()) == f"demo {ROWS[0]['why']}"


@pytest.mark.parametrize(
    ("columns", "out"), [(100, Terminal()), (12, Terminal()), (30, io.StringIO())]
)
def test_where_it_fits_or_nobody_looks_a_row_is_a_line(printed, columns, out):
    assert printed(columns, out)[1:] == [f"demo  {ROWS[0]['why']}"]


def test_a_record_shows_lists_and_leaves_out_what_is_not_known(capsys):
    names = {"name": "Name", "setup": "Set-up", "start": "Services", "note": "Note"}
    show.record({"name": "shop", "setup": ["uv sync", "make"], "start": [], "note": None}, names)
    assert capsys.readouterr().out == "Name      shop\nSet-up    uv sync, make\n"
