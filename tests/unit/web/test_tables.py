"""Tables for spreadsheets."""

import csv
import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.web.tables import as_csv, cell


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "yes"),
        (False, "no"),
        (-3, "-3"),
        (0.25, "0.25"),
        (1234567.5, "1234567.5"),
        (datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-02T03:00:00+00:00"),
        ("plain", "plain"),
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("  =1", "'  =1"),
        ("\uff1d1", "'\uff1d1"),
        ("a=b", "a=b"),
        ("a\x00b", "a\ufffdb"),
        ("\x1b[2Ja\x9b\x7f", "\ufffd[2Ja\ufffd\ufffd"),
        ("a\n=1\tb", "a\n=1\tb"),
    ],
)
def test_no_words_are_a_formula(value, shown):
    assert cell(value) == shown


@given(st.lists(st.fixed_dictionaries({"a": st.text(), "b": st.text()}), max_size=10))
def test_a_reader_of_csv_gets_the_cells_back(rows):
    text = as_csv(("a", "b"), rows)
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert read == [["a", "b"], *[[cell(row["a"]), cell(row["b"])] for row in rows]]
    assert not any(one.lstrip(" ")[:1] in tuple("=+-@\t\r\n") for row in read for one in row if one)
