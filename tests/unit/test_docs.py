"""The documentation names what is in the code: every setting, state and metric."""

import fnmatch
import re

import pytest
from prometheus_client import Counter, Gauge, Histogram

from bot import metrics
from bot.config import SIZES, reference
from bot.store import states
from tests.support.pages import DOCS, PAGES
from vmpool.machine import MachineState, TemplateState

PACKAGES = ("adapters", "bot", "scheduler", "vmpool")
STATES = (
    states.SessionState,
    states.PromptState,
    states.TurnState,
    states.QuestionState,
    states.ReplyState,
    states.ChargeState,
    states.GrantState,
    states.ScheduleState,
    states.FiringState,
    states.AutomationState,
    states.TargetState,
    MachineState,
    TemplateState,
)


def written(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_that_lists_what_is_in_the_code_is_current(name):
    assert written(name) == PAGES[name](), "run `make docs`"


def test_every_setting_is_documented():
    page = written("settings.md")
    for key, variable, _, _ in reference():
        assert f"| `{key}` | `{variable}` |" in page


def test_every_size_is_documented_with_what_it_has():
    page = written("templates.md")
    for name, size in SIZES.items():
        has = f"{size.vcpus} | {size.memory_mib} MiB | {size.disk_gib} GiB"
        assert f"| `{name}` | {has} |" in page


def test_every_state_is_documented_with_a_meaning():
    page = written("states.md")
    for kind in STATES:
        for state in kind:
            assert re.search(rf"^\| `{state.value}` \| \w.* \|", page, re.MULTILINE), state


def test_every_metric_is_documented_with_a_meaning():
    page = written("metrics.md")
    for registry in (metrics.SERVE, metrics.WORK):
        for family in registry.collect():
            assert re.search(rf"^\| `{family.name}(_total)?` \| \w+ \| \w", page, re.MULTILINE)


def test_every_table_with_a_state_column_has_its_states_on_the_page():
    defined = {
        name for module in (states,) for name in vars(module) if re.fullmatch(r"\w+State", name)
    }
    assert defined == {kind.__name__ for kind in STATES} - {"MachineState", "TemplateState"}


def test_every_metric_is_observed_somewhere_in_the_code():
    code = "\n".join(
        path.read_text(encoding="utf-8") for path in (DOCS.parent / "bot").rglob("*.py")
    )
    names = [
        name
        for name, metric in vars(metrics).items()
        if isinstance(metric, Counter | Gauge | Histogram)
    ]
    unseen = [
        name for name in names if not re.search(rf"\b{name}\.(labels|observe|set|inc|time)\(", code)
    ]
    assert names
    assert unseen == []


def test_every_package_has_its_place_in_the_architecture():
    text = (DOCS.parent / "ARCHITECTURE.md").read_text(encoding="utf-8")
    packages = {
        path.parent.relative_to(DOCS.parent).as_posix()
        for top in PACKAGES
        for path in (DOCS.parent / top).glob("*/__init__.py")
    }
    assert len(packages) > len(PACKAGES)
    assert [one for one in sorted(packages) if f"`{one}" not in text] == []


def test_every_file_that_the_architecture_names_is_there():
    text = (DOCS.parent / "ARCHITECTURE.md").read_text(encoding="utf-8")
    files = [
        path.as_posix()
        for top in (*PACKAGES, "tests")
        for path in (DOCS.parent / top).rglob("*.py")
    ]
    named = {one.replace("…", "*") for one in re.findall(r"`([\w/*…]+\.py)", text)}
    assert len(named) > 100
    assert [one for one in sorted(named) if not fnmatch.filter(files, f"*/{one}")] == []


def test_every_invariant_is_named_by_a_test():
    text = (DOCS.parent / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = re.findall(r"^\d\. \*\*(.+?)\.\*\*", text, re.MULTILINE)
    assert len(named) == 6
    tests = "\n".join(
        re.sub(r"^(?!(async )?def test_).*$", "", path.read_text(encoding="utf-8"), flags=re.M)
        for path in (DOCS.parent / "tests").rglob("test_*.py")
    )
    for title in named:
        for part in title.lower().split(", "):
            assert part.replace(" ", "_") in tests, title
