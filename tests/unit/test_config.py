"""Settings: where they come from, and what is said about wrong ones."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from bot.config import Settings, load, reference
from bot.errors import WrongSettings
from bot.pools import Pools
from vmpool.warm.sizing import WorkingHours


@pytest.fixture
def home(tmp_path):
    """A data directory, and the environment that names it."""
    return tmp_path, {"ONA_DATA_DIR": str(tmp_path)}


def refusal(environment) -> str:
    with pytest.raises(WrongSettings) as caught:
        load(environment)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_without_anything_the_defaults_hold(tmp_path):
    settings = load({"XDG_DATA_HOME": str(tmp_path)})
    assert settings.data_dir == tmp_path / "ona"
    assert settings == Settings(data_dir=tmp_path / "ona")
    assert (settings.host, settings.port) == ("127.0.0.1", 8484)


def test_a_relative_xdg_directory_is_ignored_as_its_specification_says():
    assert load({"XDG_DATA_HOME": "here"}).data_dir == Path.home() / ".local" / "share" / "ona"


def test_a_variable_goes_before_the_file_and_the_file_before_the_default(home):
    directory, environment = home
    (directory / "ona.toml").write_text("port = 1000\n[queue]\nturns_max = 2\npoll_seconds = 3\n")
    settings = load({**environment, "ONA_QUEUE__TURNS_MAX": "7"})
    assert (settings.queue.turns_max, settings.queue.poll_seconds) == (7, 3)
    assert settings.port == 1000
    assert settings.queue.lease_seconds == 30


def test_ona_config_names_another_file_which_must_be_there(home):
    directory, environment = home
    other = directory / "other.toml"
    assert str(other) in refusal({**environment, "ONA_CONFIG": str(other)})
    other.write_text("port = 5\n")
    assert load({**environment, "ONA_CONFIG": str(other)}).port == 5


def test_lists_are_written_with_commas_or_as_one_word(home):
    _, environment = home
    for written, read in {"a": ("a",), "a, b": ("a", "b")}.items():
        assert load({**environment, "ONA_WEB__ALLOWED_HOSTS": written}).web.allowed_hosts == read


def test_a_comma_in_a_setting_that_is_no_list_is_kept(home):
    _, environment = home
    url = "postgresql+psycopg://u@/d?host=a,b"
    found = load({**environment, "ONA_DATABASE__URL": url}).database.url
    assert found is not None
    assert found.get_secret_value() == url


def test_an_empty_variable_counts_as_not_set(home):
    _, environment = home
    assert load({**environment, "ONA_DATABASE__URL": "", "ONA_PORT": ""}).database.url is None


def test_the_data_directory_is_absolute_whatever_was_given(home, monkeypatch):
    directory, _ = home
    monkeypatch.chdir(directory)
    assert load({"ONA_DATA_DIR": "here"}).data_dir == directory / "here"
    assert load({"ONA_DATA_DIR": "~/ona"}).data_dir == Path.home() / "ona"


def test_an_unknown_variable_is_named_with_what_was_meant(home):
    _, environment = home
    said = refusal({**environment, "ONA_QUEUE__TURN_MAX": "1"})
    assert "ONA_QUEUE__TURN_MAX: there is no setting queue.turn_max" in said
    assert "did you mean queue.turns_max?" in said


@pytest.mark.parametrize("name", ["ONA_NONSENSE", "ONA_DATABASE", "ONA_PORT__X", "ONA_"])
def test_a_variable_that_is_no_setting_is_an_error_of_its_own(home, name):
    _, environment = home
    assert f"{name}: there is no setting" in refusal({**environment, name: "1"})


def test_variables_of_tests_and_of_our_own_processes_are_no_settings(home):
    _, environment = home
    names = ("ONA_TEST_SEED", "ONA_BEAT_FD", "ONA_TOKEN", "ONA_URL")
    assert load({**environment, **dict.fromkeys(names, "1")}).port == 8484


@pytest.mark.parametrize(
    ("written", "key", "line"),
    [("colour = 1", "colour", 1), ("[queue]\nspeed = 1", "queue.speed", 2)],
)
def test_an_unknown_key_in_the_file_is_named_with_the_file(home, written, key, line):
    directory, environment = home
    (directory / "ona.toml").write_text(written)
    where = f"{directory / 'ona.toml'}, line {line}"
    assert f"{where}: there is no setting {key}" in refusal(environment)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("ONA_PORT", "many", "port should be a valid integer, but is 'many'"),
        ("ONA_PORT", "70000", "port should be less than or equal to 65535, but is '70000'"),
        ("ONA_LOG__LEVEL", "loud", "log.level should be 'debug', 'info', 'warning' or 'error'"),
        ("ONA_QUEUE__LEASE_SECONDS", "0", "queue.lease_seconds should be greater than 0"),
        ("ONA_QUEUE__LEASE_SECONDS", "inf", "queue.lease_seconds should be a finite number"),
        (
            "ONA_QUEUE__HOST_GRACE_SECONDS",
            "59",
            "queue.host_grace_seconds should be greater than or equal to 60",
        ),
        ("ONA_MACHINE__REST_AT_STOP", "perhaps", "machine.rest_at_stop should be a valid boolean"),
    ],
)
def test_a_wrong_value_says_where_what_and_what_was_expected(home, variable, value, said):
    _, environment = home
    assert f"{variable}: {said}" in refusal({**environment, variable: value})


@pytest.mark.parametrize(
    ("there_are", "said", "kept"),
    [("1", "", 0), ("2", "", 1), ("4", "", 1), ("8", "", 2), ("4", "0", 0), ("4", "3", 3)],
)
def test_some_of_what_there_is_is_kept_for_people(home, there_are, said, kept):
    _, environment = home
    turns = {"ONA_QUEUE__TURNS_MAX": there_are, "ONA_QUEUE__TURNS_FOR_PEOPLE": said}
    machines = {"ONA_MACHINE__RUNNING_MAX": there_are, "ONA_MACHINE__RUNNING_FOR_PEOPLE": said}
    settings = load({**environment, **turns, **machines})
    assert (settings.queue.kept_for_people, settings.machine.kept_for_people) == (kept, kept)


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("ONA_QUEUE__TURNS_FOR_PEOPLE", "queue.turns_for_people should be less than 4"),
        ("ONA_MACHINE__RUNNING_FOR_PEOPLE", "machine.running_for_people should be less than 4"),
    ],
)
def test_not_all_is_kept_for_people(home, variable, said):
    _, environment = home
    assert said in refusal({**environment, variable: "4"})


def test_a_wrong_value_in_the_file_names_the_file(home):
    directory, environment = home
    (directory / "ona.toml").write_text('[queue]\nturns_max = "x"\n')
    said = refusal({**environment, "ONA_QUEUE__POLL_SECONDS": "1"})
    assert f"{directory / 'ona.toml'}, line 2: queue.turns_max should be a valid integer" in said


@pytest.mark.parametrize("written", ["port = ", "\xff", "[queue]\nx"])
def test_a_file_that_can_not_be_read_says_which(home, written):
    directory, environment = home
    (directory / "ona.toml").write_bytes(written.encode("latin-1"))
    assert f"{directory / 'ona.toml'} can't be read" in refusal(environment)


@pytest.mark.parametrize(
    "written", ['database = "hunter2"', '[database]\nurl = ["hunter2"]', '[database]\nur="hunter2"']
)
def test_no_refusal_prints_a_secret(home, written):
    directory, environment = home
    (directory / "ona.toml").write_text(written)
    said = refusal({**environment, "ONA_DATABASE__CONNECTIONS_MAX": "3"})
    assert "hunter2" not in said
    assert "database" in said


def test_settings_never_print_a_secret(home):
    _, environment = home
    settings = load({**environment, "ONA_DATABASE__URL": "postgresql://u:hunter2@h/d"})
    assert "hunter2" not in f"{settings} {settings!r} {settings.model_dump_json()}"


def test_a_long_wrong_value_is_cut(home):
    _, environment = home
    assert len(refusal({**environment, "ONA_PORT": "x" * 10_000})) < 300


def test_every_setting_is_described():
    for key, variable, _, meaning in reference():
        assert meaning, key
        assert variable == "ONA_" + key.upper().replace(".", "__")


def test_the_name_of_the_bot_may_be_written_as_people_address_it(home):
    _, environment = home
    assert load({**environment, "ONA_MENTION": " @robo"}).mention == "robo"
    assert "mention" in refusal({**environment, "ONA_MENTION": "@"})


def test_working_hours_are_read_as_they_are_written_and_reach_the_pools(home):
    _, environment = home
    settings = load({**environment, "ONA_POOL__WORKING_HOURS": " Mon-Fri 8-19 "})
    hours = WorkingHours(first_day=0, last_day=4, first_hour=8, end_hour=19)
    assert settings.pool.working_hours == hours
    kinds = ("rows", "registry", "driver", "repositories", "image", "engine_image", "grants")
    parts = dict.fromkeys(kinds)
    pools = Pools.of(settings, None, pool=SimpleNamespace(care=None), **parts)
    assert pools.keeper._demands._limits.hours == hours


@pytest.mark.parametrize("hours", ["always", "fri-mon 8-19", "mon-fri 19-8", "mon-fri 8-25"])
def test_working_hours_that_are_none_are_refused(home, hours):
    _, environment = home
    assert "mon-fri 8-19" in refusal({**environment, "ONA_POOL__WORKING_HOURS": hours})


def test_a_reaction_is_known_by_its_name_with_or_without_colons(home):
    _, environment = home
    variable = "ONA_SLACK__START_REACTION"
    for written in ("robot_face", ":robot_face:"):
        assert load({**environment, variable: written}).slack.start_reaction == "robot_face"
    assert "slack.start_reaction" in refusal({**environment, variable: "<@U1>"})


def test_discords_reaction_is_an_emoji_or_the_name_of_one(home):
    _, environment = home
    variable = "ONA_DISCORD__START_REACTION"
    for written in ("🤖", "ona_bot"):
        assert load({**environment, variable: written}).discord.start_reaction == written
    assert "discord.start_reaction" in refusal({**environment, variable: "<:ona:1>"})


def test_settings_that_dont_fit_together_are_told_by_name(tmp_path):
    with pytest.raises(WrongSettings, match=r"machine\.size should be one of small"):
        load({"ONA_DATA_DIR": str(tmp_path), "ONA_MACHINE__SIZE": "giant"})


def test_a_wrong_line_of_the_policy_is_named_by_file_line_and_key(tmp_path):
    file = tmp_path / "ona.toml"
    file.write_text('port = 1\n[policy]\ndeny = [\n "ok.example.com",\n "b..example"\n]\n')
    with pytest.raises(WrongSettings) as wrong:
        load({"ONA_CONFIG": str(file), "HOME": str(tmp_path)})
    said = str(wrong.value)
    assert f"{file}, line 5: policy.deny should be a list of HOST" in said
    assert "but is 'b..example'" in said


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", ()),
        ("[models.anthropic]\n", ("claude-code",)),
        ("[models.openai]\n[models.anthropic]\n", ("claude-code", "codex")),
        ('[models.own]\nformat = "openai"\nurl = "https://m.example"\n', ("codex",)),
        ("[models.anthropic]\n[agents]\ninstalled = []\n", ()),
        ('[agents]\ninstalled = ["opencode", "codex", "opencode"]\n', ("opencode", "codex")),
        ('[agents]\ninstalled = "opencode, codex"\n', ("opencode", "codex")),
    ],
)
def test_machines_hold_the_agents_that_are_named_or_that_models_serve(home, written, expected):
    directory, environment = home
    (directory / "ona.toml").write_text(written)
    assert load(environment).agents_installed == expected


def test_an_agent_that_no_image_can_hold_is_named(home):
    directory, environment = home
    (directory / "ona.toml").write_text('[agents]\ninstalled = ["claude-code", "clippy"]\n')
    said = refusal(environment)
    assert "line 2: agents.installed" in said
    assert "opencode, not 'clippy'" in said
