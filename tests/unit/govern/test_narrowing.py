"""What of a project's grants a turn gets that may only read."""

import pytest

from adapters.vault.port import Mode, Wanted
from bot.govern.narrowing import narrowed


def wanted(kind, *, reads=False, **options):
    return Wanted(name="it", kind=kind, mode=Mode.HANDED, options=options, reads=reads)


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (
            wanted("github", repositories=["a/b"], permissions={"contents": "write"}),
            wanted("github", repositories=["a/b"], permissions={"contents": "read"}),
        ),
        (
            wanted("github", permissions={"workflows": "write", "issues": "admin"}),
            wanted("github", permissions={"issues": "read"}),
        ),
        (wanted("github", permissions={"workflows": "write"}), None),
        (wanted("github"), None),
        (
            wanted("gitlab", project="a/b", scopes=["api", "read_api"], level=40),
            wanted("gitlab", project="a/b", scopes=["read_api"], level=20),
        ),
        (
            wanted("gitlab", scopes=["write_repository", "create_runner"]),
            wanted("gitlab", scopes=["read_repository"], level=20),
        ),
        (
            wanted("gitlab", scopes=["read_repository"], level=10),
            wanted("gitlab", scopes=["read_repository"], level=10),
        ),
        (wanted("gitlab"), wanted("gitlab", scopes=["read_repository"], level=20)),
        (wanted("gitlab", scopes=["create_runner"]), None),
        (wanted("kv", path="x"), None),
        (wanted("kv", path="x", reads=True), wanted("kv", path="x", reads=True)),
        (wanted("database", role="app"), None),
        (
            wanted("database", role="reader", reads=True),
            wanted("database", role="reader", reads=True),
        ),
        (wanted("identity", audience="cloud"), None),
        (
            wanted("github", permissions={"contents": "write"}, reads=True),
            wanted("github", permissions={"contents": "read"}, reads=True),
        ),
    ],
)
def test_nothing_is_left_that_could_change_anything(given, left):
    assert narrowed([given]) == (() if left is None else (left,))


def test_what_reads_alone_is_left_as_it_is():
    both = [
        wanted("gitlab", scopes=["read_repository", "read_api"], level=20),
        wanted("github", permissions={"contents": "read"}),
    ]
    assert narrowed(both) == tuple(both)
