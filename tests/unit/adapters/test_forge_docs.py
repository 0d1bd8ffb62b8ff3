"""The pages about the code hosts, and what the code asks of these, say the same."""

from pathlib import Path

from adapters.forge.github import polling as github
from adapters.forge.github.examining import PERMISSIONS
from adapters.forge.github.hooks import EVENTS
from adapters.forge.gitlab import polling as gitlab
from adapters.forge.gitlab.examining import SCOPE
from bot.config import reference
from bot.switched import SURFACES
from tests.support.pages import LISTENERS, PORTS

DOCS = Path(__file__).parents[3] / "docs"
GITHUB = (DOCS / "github.md").read_text(encoding="utf-8")
GITLAB = (DOCS / "gitlab.md").read_text(encoding="utf-8")


def test_every_permission_of_the_app_is_documented_with_its_reason():
    for name, (level, why) in PERMISSIONS.items():
        assert f"| `{name}: {level}` | {why} |" in GITHUB


def test_every_event_that_is_read_is_documented():
    for event in EVENTS:
        assert f"`{event}`" in GITHUB


def test_the_scope_of_the_token_is_documented():
    assert f"scope `{SCOPE}`" in GITLAB


def test_how_late_a_forge_is_heard_is_documented():
    for page, module in ((GITHUB, github), (GITLAB, gitlab)):
        assert f"within {module.POLL_SECONDS:g} seconds, by asking" in page
        assert f"what got lost within {module.CATCH_UP_SECONDS:g} seconds" in page


def test_the_variables_on_the_pages_are_settings():
    known = {variable for _, variable, _, _ in reference()}
    for page in (GITHUB, GITLAB):
        found = {word.partition("=")[0].strip("`") for word in page.split() if "ONA_" in word}
        assert found
        assert found <= known


def test_every_surface_has_its_page_its_column_and_its_listener():
    assert tuple(LISTENERS) == SURFACES
    assert set(SURFACES) < set(PORTS)
    table = (DOCS / "surfaces.md").read_text(encoding="utf-8")
    for surface in SURFACES:
        assert (DOCS / f"{surface}.md").exists()
        assert f"({surface}.md)" in table
