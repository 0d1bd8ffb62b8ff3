"""Who a host is, over restarts, power cuts and hands that slip."""

from pathlib import Path

import pytest

from bot.errors import Refused
from bot.host_identity import host_identity


def test_a_host_keeps_its_id(tmp_path: Path) -> None:
    first = host_identity(tmp_path / "host")
    assert host_identity(tmp_path / "host") == first
    assert host_identity(tmp_path / "other") != first


@pytest.mark.parametrize("kept", ["", "\n", "not an id\n"])
def test_an_id_that_is_none_is_said_and_not_replaced(tmp_path: Path, kept: str) -> None:
    path = tmp_path / "host-id"
    path.write_text(kept)
    with pytest.raises(Refused, match="does not hold the id of this host"):
        host_identity(tmp_path)
    assert path.read_text() == kept
