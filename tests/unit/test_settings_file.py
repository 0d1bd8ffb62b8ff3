"""Writing into ona.toml: what is asked for changes, all else stays as it was."""

import os
import stat
import tomllib

import pytest

from bot.errors import WrongSettings
from bot.settings_file import changed, replace, shown, write

FILE = """\
# Ours
port = 9000 # as agreed

[slack]
bot_token = "xoxb-1"

[github] # the App
app_id = 1
webhook_secret = "old"

# Sizes
[sizes.tiny]
vcpus = 1
"""


def test_keys_are_set_replaced_and_removed_and_every_other_line_stays():
    after = changed(FILE, "github", {"app_id": 2, "client_id": "Iv1", "webhook_secret": None})
    assert after == FILE.replace("app_id = 1", "app_id = 2").replace(
        'webhook_secret = "old"', 'client_id = "Iv1"'
    )


def test_a_section_that_is_not_there_comes_at_the_end():
    after = changed(FILE, "gitlab", {"token": "glpat"})
    assert after == f'{FILE}\n[gitlab]\ntoken = "glpat"\n'
    assert changed("", "gitlab", {"token": "t"}) == '[gitlab]\ntoken = "t"\n'


def test_doing_it_again_changes_nothing():
    once = changed(FILE, "gitlab", {"token": "glpat"})
    assert changed(once, "gitlab", {"token": "glpat"}) == once


@pytest.mark.parametrize("value", ['a"b', "a\\b", "ä€😀", "a\x7fb", "line\nline", "'", "\t"])
def test_any_value_comes_back_as_it_was(value):
    assert tomllib.loads(changed(FILE, "slack", {"bot_token": value}))["slack"] == {
        "bot_token": value
    }


@pytest.mark.parametrize(
    "odd",
    [
        'slack = {bot_token = "x"}\n',
        'slack.bot_token = "x"\n',
        'note = """\n[slack]\n"""\n',
        '[slack]\nbot_token = """\nx\n"""\n',
        '[slack]\nlist = [\n[1],\n]\nbot_token = "x"\n',
        "slack = 1\n",
        "no toml",
    ],
)
def test_what_is_written_otherwise_is_left_alone(odd):
    with pytest.raises(WrongSettings, match="can't be changed"):
        changed(odd, "slack", {"bot_token": "y"})


def test_a_section_in_another_order_or_spelling_is_understood():
    after = changed('[ slack ]\n"bot_token"="x"\n', "slack", {"bot_token": "y"})
    assert tomllib.loads(after) == {"slack": {"bot_token": "y"}}


def test_the_file_is_made_for_its_owner_alone(tmp_path):
    path = tmp_path / "new" / "ona.toml"
    write(path, "slack", {"bot_token": "x"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert os.listdir(path.parent) == ["ona.toml"]


@pytest.mark.parametrize(("before", "after"), [(0o644, 0o600), (0o640, 0o640), (0o600, 0o600)])
def test_a_file_that_others_could_read_is_closed_to_them(tmp_path, before, after):
    path = tmp_path / "ona.toml"
    path.write_text("port = 1\n")
    path.chmod(before)
    write(path, "slack", {"bot_token": "x"})
    assert stat.S_IMODE(path.stat().st_mode) == after
    assert tomllib.loads(path.read_text()) == {"port": 1, "slack": {"bot_token": "x"}}


def test_a_link_stays_one(tmp_path):
    real, link = tmp_path / "real.toml", tmp_path / "ona.toml"
    real.write_text("port = 1\n")
    link.symlink_to(real)
    write(link, "slack", {"bot_token": "x"})
    assert link.is_symlink()
    assert "bot_token" in real.read_text()


def test_what_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "ona.toml"
    path.write_text("port = 1\n")

    def full(*_):
        raise OSError("no room")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no room"):
        replace(path, "port = 2\n")
    assert path.read_text() == "port = 1\n"
    assert os.listdir(tmp_path) == ["ona.toml"]


def test_what_can_not_be_written_is_shown_as_it_would_stand_there():
    assert shown("github", {"app_id": 1, "client_id": "a", "webhook_secret": None}) == (
        '[github]\napp_id = 1\nclient_id = "a"'
    )
