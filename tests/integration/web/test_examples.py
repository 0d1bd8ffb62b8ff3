"""The commands on the pages of docs/ run against a real `ona`, in the order in which they stand."""

import re

import pytest

from tests.fakes.forge import KnowingForge
from tests.integration.web.site import running_site
from tests.integration.web.test_automations import synced
from tests.integration.web.test_cli import ona  # noqa: F401  (a fixture)
from tests.support import examples
from tests.support.runs import run_of

REMINDERS = examples.commands("reminders.md")
RUNS = [words for words in examples.commands("runs.md") if words[0] == "runs"]
PEOPLE = [words for words in examples.commands("runs.md") if words[0] == "people"]
AUTOMATIONS = [
    said.split()[1:]
    for said in re.findall(
        r"^\| `(ona automations[^`]*)`",
        (examples.DOCS / "automations.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
]
OF_FILES_ONLY = "remove"
"""Refused for one that a file made, as the page says."""


@pytest.fixture
async def site(request, database_url, tmp_path):
    """A site, with a code host if the test asks for one."""
    forge = KnowingForge()
    forges = {"github": forge} if getattr(request, "param", "") == "with a forge" else {}
    async with running_site(database_url, tmp_path, forges=forges) as running:
        yield running
    await forge.close()


def test_the_pages_have_their_commands():
    assert len(REMINDERS) >= 4
    assert len(RUNS) >= 5
    assert len(PEOPLE) >= 2
    assert len(AUTOMATIONS) >= 8


async def all_of(ona, commands, ids):  # noqa: F811
    """Give these commands; ids that they tell are those of the ones that follow."""
    for words in commands:
        ran = await ona(*map(ids.put, words))
        assert ran.code == 0, f"ona {' '.join(words)}: {ran.out}{ran.err}"
        ids.heard(ran.out)


async def test_the_commands_about_reminders_do_what_they_say(site, ona):  # noqa: F811
    await all_of(ona, REMINDERS, examples.Ids())


@pytest.mark.parametrize("words", RUNS, ids=" ".join)
async def test_a_command_about_runs_does_what_it_says(site, ona, words):  # noqa: F811
    run = await run_of(site, site.ann)
    await site.rows("UPDATE project SET name = 'payments' WHERE name = 'demo' RETURNING id")
    await all_of(ona, [words], examples.Ids({"run": run.short}))


@pytest.mark.parametrize("site", ["with a forge"], indirect=True)
async def test_the_commands_about_service_accounts_do_what_they_say(site, ona):  # noqa: F811
    await all_of(ona, PEOPLE, examples.Ids())


async def test_the_commands_about_automations_do_what_they_say(site, ona, tmp_path):  # noqa: F811
    file = next(block for block in examples.blocks("automations.md", "yaml") if "schema:" in block)
    (tmp_path / "weekly.yaml").write_text(file, encoding="utf-8")
    checked = await ona("automations", "validate", str(tmp_path / "weekly.yaml"))
    assert checked.code == 0, checked.out + checked.err
    await synced(site, file)
    async with site.client() as ann:
        (one,) = (await ann.get("/api/v1/automations")).json()["automations"]
    (tmp_path / "here.yaml").write_text(file.replace(one["name"], "made-here"), encoding="utf-8")
    meant = {"NAME": one["name"], "PROJECT": "demo", "FILE": str(tmp_path / "here.yaml")}
    for words in AUTOMATIONS:
        given = [meant.get(word, word) for word in words]
        if "approve" in words:
            given += ["--digest", one["proposed_digest"]]
        ran = await ona(*given)
        refused = OF_FILES_ONLY in words
        assert (ran.code != 0) is refused, f"ona {' '.join(words)}: {ran.out}{ran.err}"


def test_an_id_of_a_page_stands_for_the_last_one_that_was_made():
    ids = examples.Ids()
    ids.heard("r-aaaa active: every day\nr-bbbb active: every friday, of s-cccc")
    assert ids.put("reminders edit r-7f3k --session s-1234 a-none") == (
        "reminders edit r-bbbb --session s-cccc a-none"
    )
