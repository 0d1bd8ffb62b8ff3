"""What the files of a repository change: nothing that counts, until somebody approves it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.automate.files.parsing import read
from bot.automate.files.syncing import Known, plan
from bot.store.ids import new_id
from bot.words.catalogue import again

HEAD = "schema: ona/automation/v1\n"


def file(name, *, step="look", path=None, **more):
    lines = [HEAD, f"name: {name}\n", f"steps: [{{prompt: {step}}}]\n"]
    lines += [f"{key}: {value}\n" for key, value in more.items()]
    return read(path or f".ona/automations/{name}.yaml", "".join(lines).encode())


def known(said, **more):
    """The row of a proposal, or of what counts when it was approved."""
    facts = {
        "id": new_id(),
        "name": said.name,
        "path": said.path,
        "definition": said.definition,
        "digest": "",
        "proposed_digest": said.proposed_digest,
    }
    return Known(**{**facts, **more})


def approved(said, **more):
    facts = {"definition": said.proposed, "digest": said.proposed_digest, "proposed_digest": ""}
    return known(said, **{**facts, **more})


def first(*files):
    return plan((), files).said


def test_a_new_file_is_proposed():
    (said,) = first(file("a"))
    assert (said.id, said.name, said.definition, said.news) == (None, "a", {}, "proposed")
    assert said.proposed == {"name": "a", "steps": [{"prompt": "look"}]}
    assert len(said.proposed_digest) == 64


def test_what_is_proposed_already_is_no_news():
    (said,) = first(file("a"))
    (again_said,) = plan([known(said)], [file("a")]).said
    assert again_said.news == ""
    assert again_said.proposed == said.proposed


def test_a_changed_file_waits_beside_what_counts():
    (said,) = first(file("a"))
    row = approved(said)
    (changed,) = plan([row], [file("a", step="other")]).said
    assert changed.id == row.id
    assert changed.definition == said.proposed
    assert changed.proposed["steps"] == [{"prompt": "other"}]
    assert changed.news == "proposed"


def test_a_file_that_says_again_what_counts_proposes_nothing():
    (said,) = first(file("a"))
    row = approved(said, proposed_digest="f" * 64)
    (back,) = plan([row], [file("a")]).said
    assert (back.proposed, back.proposed_digest, back.news) == ({}, "", "")


def test_only_its_description_counts_at_once():
    (said,) = first(file("a"))
    (changed,) = plan([approved(said)], [file("a", description="why")]).said
    assert changed.definition == {**said.proposed, "description": "why"}
    assert (changed.proposed, changed.news) == ({}, "")


def test_a_file_may_move():
    (said,) = first(file("a"))
    (moved,) = plan([approved(said)], [file("a", path=".ona/automations/b.yml")]).said
    assert (moved.path, moved.proposed) == (".ona/automations/b.yml", {})


def test_what_no_file_says_any_more_is_removed():
    a, b = first(file("a"), file("b"))
    rows = [approved(a), known(b)]
    assert plan(rows, [file("a")]).removed == [rows[1]]
    assert plan(rows, []).removed == rows


def test_what_was_made_here_is_no_files_business():
    (said,) = first(file("a"))
    row = approved(said, path="")
    assert plan([row], []).removed == []
    made = plan([row], [file("a")])
    assert (list(made.said), made.removed) == ([], [])
    (shown,) = made.files
    assert shown["kind"] == "wrong"
    assert "made here" in again(shown["said"][0])


def test_a_file_with_mistakes_changes_nothing():
    (said,) = first(file("a"))
    decided = plan([approved(said)], [file("a", overlap="skipp")])
    assert (list(decided.said), decided.removed) == ([], [])
    (shown,) = decided.files
    assert (shown["kind"], shown["path"]) == ("wrong", ".ona/automations/a.yaml")
    assert "did you mean skip?" in again(shown["said"][0])


def test_a_file_of_others_is_listed():
    (shown,) = plan((), [read("x.yaml", b"on: push\n")]).files
    assert shown["kind"] == "other"
    assert again(shown["said"][0]) == "it does not say `schema: ona/automation/v1`"


NAMES = st.lists(st.sampled_from("abcd"), unique=True)
STEPS = st.sampled_from(["look", "other"])


@given(NAMES, NAMES, STEPS, STEPS)
def test_nothing_counts_that_nobody_approved(before, after, old, new):
    rows = [approved(one) for one in first(*(file(name, step=old) for name in before))]
    counted = {row.name: row.definition for row in rows}
    decided = plan(rows, [file(name, step=new) for name in after])
    for said in decided.said:
        assert said.definition == counted.get(said.name, {})
        assert bool(said.proposed) == (said.name not in counted or old != new)
    assert {one.name for one in decided.removed} == set(before) - set(after)


@pytest.mark.parametrize("count", [1, 3])
def test_once_written_a_folder_changes_nothing(count):
    files = [file(name) for name in "abc"[:count]]
    rows = [known(one) for one in first(*files)]
    decided = plan(rows, files)
    assert not any(one.news for one in decided.said)
    assert decided.removed == []
