"""Which devcontainer.json of a repository counts, and what is made of it."""

import json

import pytest

from bot.work.detect.devcontainer import devcontainer_of, for_machine, parsed, probe, understood
from bot.work.detect.tree import Tree

WHOLE = """\ufeff// made by hand, "quoted"
{
    "image": "registry.test/base:1", // not "build"
    /* a block, with a } and a , in it */
    "features": {"./local": {}, "https://x.test//y": {"list": [1, 2,],},},
    "customizations": {"vscode": {}},
    "postCreateCommand": "echo '/* no comment */ \\" // none' ,]",
}
"""


def test_comments_and_commas_too_many_are_no_trouble_and_strings_stay():
    said = parsed(WHOLE)
    assert said == {
        "image": "registry.test/base:1",
        "features": {"./local": {}, "https://x.test//y": {"list": [1, 2]}},
        "customizations": {"vscode": {}},
        "postCreateCommand": "echo '/* no comment */ \" // none' ,]",
    }


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{", "{'a': 1}", '{"a": "b}'),
        *(pytest.param(text * 100_000, id=f"{text} often") for text in ("[", "/*", '\\"')),
        pytest.param('\\"' * 100_000 + "\\", id="a string that ends in half a sign"),
        pytest.param('{"image": ' * 500 + "1" + "}" * 500, id="more than anybody means"),
    ],
)
def test_what_is_no_object_is_said_to_be_none(text):
    assert parsed(text) is None
    found = devcontainer_of(Tree(files=frozenset(), texts={".devcontainer.json": text}))
    assert found is not None
    assert (found.unusable, found.config) == ("it is no JSON object", {})


@pytest.mark.parametrize(
    ("paths", "counts"),
    [
        ([], None),
        (["devcontainer.json", "web/.devcontainer.json", "package.json"], None),
        (
            [".devcontainer.json", ".devcontainer/devcontainer.json"],
            ".devcontainer/devcontainer.json",
        ),
        ([".devcontainer/a/devcontainer.json", ".devcontainer.json"], ".devcontainer.json"),
        (
            [".devcontainer/b/devcontainer.json", ".devcontainer/a/devcontainer.json"],
            ".devcontainer/a/devcontainer.json",
        ),
        ([".devcontainer/a/b/devcontainer.json"], None),
    ],
)
def test_the_usual_places_come_before_the_folders_by_name(paths, counts):
    found = devcontainer_of(Tree(files=frozenset(paths), texts=dict.fromkeys(paths, "{}")))
    assert (found.path if found else None) == counts


def of(**said) -> object:
    return understood(".devcontainer.json", json.dumps(said))


def test_comments_are_no_trouble_and_what_is_for_editors_is_nobodys_loss():
    found = understood(".devcontainer.json", WHOLE)
    assert found.unusable is None
    assert [*found.config] == ["image", "features", "postCreateCommand"]
    assert found.left_out == ()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"dockerComposeFile": "compose.yml", "service": "app"}, "Docker Compose files"),
        ({"image": "base", "dockerComposeFile": ["a.yml"]}, "Docker Compose files"),
        ({"features": {}}, "neither an image nor a Dockerfile"),
        ({}, "neither an image nor a Dockerfile"),
    ],
)
def test_what_no_container_can_be_made_of_says_why(said, why):
    found = of(**said)
    assert why in found.unusable
    assert found.config == {}


@pytest.mark.parametrize(
    "way", [{"image": "b"}, {"build": {"dockerfile": "D"}}, {"dockerFile": "D"}]
)
def test_an_image_and_a_dockerfile_in_either_spelling_do(way):
    found = of(**way)
    assert (found.unusable, found.config) == (None, way)


@pytest.mark.parametrize(
    ("said", "kept", "left_out"),
    [
        ({"frobnicate": 1}, {}, ("frobnicate",)),
        ({"appPort": 80, "postAttachCommand": "x"}, {}, ("appPort", "postAttachCommand")),
        ({"name": "shop", "hostRequirements": {"cpus": 4}, "$schema": "x"}, {}, ()),
        (
            {"runArgs": ["--cap-add=SYS_PTRACE", "--network", "shop_net", "-P", "--init"]},
            {"runArgs": ["--cap-add=SYS_PTRACE", "--init"]},
            ("runArgs --network shop_net", "runArgs -P"),
        ),
        (
            {"runArgs": ["--network=host", "--gpus", "all", "-p", "80:80"]},
            {"runArgs": []},
            ("runArgs --network=host", "runArgs --gpus all", "runArgs -p 80:80"),
        ),
        ({"runArgs": ["--name"]}, {"runArgs": []}, ("runArgs --name",)),
        ({"runArgs": "--init"}, {"runArgs": []}, ()),
        (
            {"mounts": ["source=/var/run/docker.sock,target=/x,type=bind", "source=v,target=/v"]},
            {"mounts": ["source=v,target=/v"]},
            ("mounts /var/run/docker.sock",),
        ),
        (
            {
                "mounts": [
                    {"type": "bind", "source": "${localEnv:HOME}/.aws", "target": "/aws"},
                    {"type": "bind", "source": "${localWorkspaceFolder}/x", "target": "/x"},
                    {"type": "tmpfs", "target": "/t"},
                ]
            },
            {
                "mounts": [
                    {"type": "bind", "source": "${localWorkspaceFolder}/x", "target": "/x"},
                    {"type": "tmpfs", "target": "/t"},
                ]
            },
            ("mounts ${localEnv:HOME}/.aws",),
        ),
    ],
)
def test_what_can_not_be_done_here_is_left_out_and_said(said, kept, left_out):
    found = of(image="base", **said)
    assert found.config == {"image": "base", **kept}
    assert found.left_out == left_out


def test_what_is_said_to_be_left_out_is_bounded_and_can_be_printed():
    found = of(image="base", **{f"key{number}": 1 for number in range(100)})
    assert len(found.left_out) == 20
    (word,) = of(image="base", **{"a\x1b[31m" + "b" * 1000: 1}).left_out
    assert len(word) == 100
    assert word.isprintable()


@pytest.mark.parametrize(
    ("said", "ports", "left_out"),
    [
        ([3000, "5173", "localhost:8080", 3000], (3000, 5173, 8080), ()),
        (["db:5432", 0, 65536, "x", -1, None], (), ("db:5432", "0", "65536", "x", "-1", "None")),
        (["9" * 5000, 3000], (3000,), ("9" * 87,)),
        (3000, (), ()),
    ],
)
def test_ports_of_the_container_are_forwarded_and_others_said(said, ports, left_out):
    found = of(image="base", forwardPorts=said)
    assert found.ports == ports
    assert found.left_out == tuple(f"forwardPorts {one}" for one in left_out)
    assert "forwardPorts" not in found.config


def test_the_repository_lies_where_it_usually_does_and_where_it_lies_in_the_machine():
    given = for_machine({"image": "b", "runArgs": ["--init"]}, "/work/shop", ["/a:/b:ro"])
    assert given == {
        "image": "b",
        "runArgs": ["--volume", "/work:/work", "--volume", "/a:/b:ro", "--init"],
        "workspaceMount": "type=bind,source=/work,target=/workspaces",
        "workspaceFolder": "/workspaces/shop",
    }
    own = {
        "image": "b",
        "workspaceFolder": "/app",
        "workspaceMount": "type=bind,source=x,target=/app",
    }
    given = for_machine(own, "/work/shop", [])
    assert given == {**own, "runArgs": ["--volume", "/work:/work"]}


@pytest.mark.parametrize(
    ("said", "flags"),
    [
        ({}, ["-lic"]),
        ({"userEnvProbe": "none"}, []),
        ({"userEnvProbe": "loginShell"}, ["-lc"]),
        ({"userEnvProbe": "interactiveShell"}, ["-ic"]),
        ({"userEnvProbe": 7}, ["-lic"]),
    ],
)
def test_the_users_shell_is_asked_as_the_file_says(said, flags):
    assert list(probe(said)) == flags


def test_whatever_is_done_differently_is_another_digest():
    said = [
        *(of(image="a"), of(image="b"), of(image="a", forwardPorts=[1]), of(image="a", x=1)),
        understood(".devcontainer/devcontainer.json", '{"image": "a"}'),
    ]
    assert len({one.digest for one in said}) == 4, "what is left out changes nothing"
