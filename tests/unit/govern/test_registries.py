"""The registries of a host, read from the files and programs of its package managers."""

from bot.govern.registries import ask, policy_of, registries
from vmpool.network.policy import decide

FILES = {
    "etc/apt/sources.list": (
        "# deb http://old.example.com/debian x main\n"
        "deb [arch=amd64 signed-by=/k] https://user:secret@deb.example.com:8443/debian x main\n"
        "deb cdrom:[x]/ x main\n"
    ),
    "etc/apt/sources.list.d/more.sources": (
        "Types: deb\nURIs: http://more.example.com/debian https://two.example.com/x\nSuites: x\n"
    ),
    "home/.npmrc": (
        "//npm.example.com/:_authToken=secret\nregistry=https://npm.example.com/\n"
        "@team:registry=https://team.example.com:4873/\n; x:registry=https://no.example.com\n"
    ),
    "home/.config/uv/uv.toml": (
        '[[index]]\nurl = "https://uv.example.com/simple"\n[pip]\n'
        'extra-index-url = ["https://extra.example.com/simple"]\n'
    ),
    "home/.cargo/config.toml": (
        '[registries.own]\nindex = "sparse+https://crates.example.com/index/"\n'
        '[source.mirror]\nregistry = "https://mirror.example.com/git"\n'
    ),
}
SAID = {
    "python3": '["https://u:secret@pip.example.com/simple https://pip2.example.com/simple"]',
    "npm": "https://npm.example.com/\n",
    "go": "https://go.example.com|direct\nsum.example.com+key https://x.example.com\n",
}


def test_they_are_read_from_files_and_programs_and_nothing_but_host_and_port_is_kept(tmp_path):
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    found = registries(tmp_path, tmp_path / "home", lambda argv: SAID.get(argv[0], ""))
    assert {(one.manager, one.line) for one in found} == {
        ("apt", "deb.example.com:8443"),
        ("apt", "more.example.com"),
        ("apt", "two.example.com"),
        ("cargo", "crates.example.com"),
        ("cargo", "mirror.example.com"),
        ("go", "go.example.com"),
        ("go", "sum.example.com"),
        ("go", "x.example.com"),
        ("npm", "npm.example.com"),
        ("npm", "team.example.com:4873"),
        ("pip", "pip.example.com"),
        ("pip", "pip2.example.com"),
        ("uv", "extra.example.com"),
        ("uv", "uv.example.com"),
    }
    assert "secret" not in repr(found)
    decided = decide(policy_of(found), "team.example.com", 4873)
    assert decided.allowed
    assert "registry of npm" in decided.reason


def test_where_nothing_is_configured_nothing_is_found(tmp_path):
    assert registries(tmp_path, tmp_path, lambda _: "") == []


def test_a_program_that_is_not_there_or_fails_says_nothing(tmp_path):
    assert ask([str(tmp_path / "none")]) == ""
    assert ask(["false"]) == ""
    assert ask(["echo", "so"]) == "so\n"
