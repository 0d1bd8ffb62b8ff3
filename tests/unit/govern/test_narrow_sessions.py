"""Who may see a session in which something was said where few read."""

import pytest

from adapters.forge.port import Permission
from bot.govern.rights import Level, to_see

NONE, READ, WRITE, ADMIN = Permission


@pytest.mark.parametrize(
    ("narrow", "need", "takes"),
    [
        (False, READ, READ),
        (None, READ, READ),
        (False, WRITE, WRITE),
        (False, ADMIN, ADMIN),
        (True, READ, WRITE),
        (True, WRITE, WRITE),
        (True, ADMIN, ADMIN),
    ],
)
def test_what_is_read_by_few_takes_the_right_to_write(narrow, need, takes):
    assert to_see(narrow=narrow, need=need) is takes


@pytest.mark.parametrize(
    ("level", "seen"),
    [(None, ""), (NONE, ""), (READ, "wide"), (WRITE, "wide narrow"), (ADMIN, "wide narrow")],
)
def test_who_sees_which_sessions(level, seen):
    found = Level(level=level)
    allowed = {"wide": to_see(narrow=False), "narrow": to_see(narrow=True)}
    assert " ".join(name for name, need in allowed.items() if found.allows(need)) == seen
