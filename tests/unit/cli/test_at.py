"""What somebody wrote is one segment of a path of the API."""

import io
import sys

import pytest

from bot.cli.client import at
from bot.cli.secrets import _value
from bot.errors import Refused


@pytest.mark.parametrize("name", ["a#b", "a?b=c", "../memory/x", "a/b", "100%", "ü"])
def test_whatever_is_in_a_name_it_leads_nowhere_else(name):
    path = at("/projects/{}/secrets/{}", "shop", name)
    assert path.startswith("/projects/shop/secrets/")
    assert path.isascii()
    assert not set("#?/") & set(path.removeprefix("/projects/shop/secrets/"))


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_a_value_that_is_no_text_is_refused_in_words(errors, monkeypatch):
    given = io.TextIOWrapper(io.BytesIO(b"\xff\xfe\x00secret"), encoding="utf-8", errors=errors)
    monkeypatch.setattr(sys, "stdin", given)
    with pytest.raises(Refused, match=r"no text in UTF-8.*nothing was stored") as raised:
        _value("db")
    assert "secret" not in str(raised.value)
