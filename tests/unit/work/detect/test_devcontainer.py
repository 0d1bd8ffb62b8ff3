"""Which devcontainer.json of a repository counts, and what it asks for."""

import pytest

from bot.work.detect.devcontainer import devcontainer_of, parsed
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
    ],
)
def test_what_is_no_object_is_said_to_be_none(text):
    assert parsed(text) is None
    found = devcontainer_of(Tree(files=frozenset(), texts={".devcontainer.json": text}))
    assert found is not None
    assert found.said == "no JSON object"


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


def test_only_what_matters_to_a_machine_is_asked_for():
    found = devcontainer_of(Tree(files=frozenset(), texts={".devcontainer.json": WHOLE}))
    assert found is not None
    assert found.said == "image, features, postCreateCommand"
