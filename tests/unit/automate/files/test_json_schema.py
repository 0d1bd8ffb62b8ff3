"""The published schema says of files what our reader says, and the page names every key."""

import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from bot.automate import definition
from bot.automate.definition import KINDS, STEP_KINDS, Context, Definition, Limits
from bot.automate.files import parsing
from bot.automate.files.json_schema import json_schema
from bot.automate.files.parsing import FILES_MAX, Ours, read
from bot.automate.files.yaml_tree import BYTES_MAX
from tests.unit.automate.files.test_parsing import HEAD

DOCS = Path(__file__).parents[4] / "docs"
PAGE = (DOCS / "automations.md").read_text()
EXAMPLES = sorted((DOCS / "examples" / "automations").iterdir())
CHECK = jsonschema.Draft202012Validator(json_schema())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_right_for_us_and_for_editors(path):
    found = read(path.name, path.read_bytes())
    assert isinstance(found, Ours), found
    assert found.definition.name == path.stem
    assert list(CHECK.iter_errors(_typed(path))) == []
    assert path.read_text().startswith("# yaml-language-server: $schema=https://")


def _typed(path: Path) -> dict:
    """What an editor reads: text for moments, as in YAML 1.2."""
    return _plain(yaml.safe_load(path.read_text()))


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def test_the_examples_use_every_trigger_and_step():
    found = [read(path.name, path.read_bytes()).definition for path in EXAMPLES]
    assert {type(one) for each in found for one in each.triggers} == set(KINDS)
    assert {type(one) for each in found for one in each.steps} == set(STEP_KINDS)


def test_the_example_of_the_page_is_right():
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert isinstance(read("a.yaml", block.encode()), Ours)
    assert list(CHECK.iter_errors(yaml.safe_load(block))) == []


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize(
    "rest",
    [
        "trigers: []\n",
        "triggers:\n  - crn: 0 9 * * *\n",
        "limits:\n  parallel: 0\n",
        "overlap: skipp\n",
        "triggers:\n  - pull_request: [openned]\n",
        "coalesce_seconds: 1.5\n",
    ],
)
def test_what_is_wrong_for_us_is_wrong_for_editors(rest):
    assert not isinstance(read("a.yaml", (HEAD + rest).encode()), Ours)
    assert list(CHECK.iter_errors(yaml.safe_load(HEAD + rest)))


@pytest.mark.parametrize("rest", ["triggers:\n  - push:\n  - webhook:\n  - ci_failed:\n"])
def test_what_may_be_empty_is_right_for_editors(rest):
    assert isinstance(read("a.yaml", (HEAD + rest).encode()), Ours)
    assert list(CHECK.iter_errors(yaml.safe_load(HEAD + rest))) == []


def test_a_key_is_described():
    parallel = json_schema()["$defs"]["Limits"]["properties"]["parallel"]
    assert parallel["description"] == "Targets at once."


MODELS = [
    one
    for one in vars(definition).values()
    if isinstance(one, type) and issubclass(one, BaseModel) and not one.__name__.startswith("_")
]


@pytest.mark.parametrize("model", MODELS, ids=lambda one: one.__name__)
def test_the_page_names_every_key(model):
    for name in model.model_fields:
        assert re.search(rf"`{name}[`:]", PAGE), name


def test_the_page_names_the_limits():
    for name, field in Limits.model_fields.items():
        (row,) = re.findall(rf"^\| `{name}` \|.*$", PAGE, re.MULTILINE)
        if isinstance(field.default, int):
            assert row.endswith(f"| {field.default} |")
    assert f"at most {FILES_MAX} such files" in PAGE
    assert f"at most {BYTES_MAX // 1024} KiB" in PAGE
    assert f"at most {definition.TRIGGERS_MAX}, see below" in PAGE
    assert f"1 to {definition.STEPS_MAX}, see below" in PAGE
    assert parsing.FOLDER in PAGE
    assert Context in MODELS
    assert Definition in MODELS
