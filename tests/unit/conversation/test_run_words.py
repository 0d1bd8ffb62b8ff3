"""What is said of runs: bounded, readable, with nothing of others' that means anything."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.chat.dialect import Markdown
from bot.automate.runs.tally import Counts, Tally, status_of
from bot.conversation import run_words
from bot.conversation.marked import written
from bot.conversation.run_words import View, buttons, counts, listed, progress, report, shown
from bot.words.amounts import short as shortened
from bot.words.catalogue import speaking

LENGTH_MAX = 4_000
"""Of any of them; the usual ones fit into the 2,000 characters that Discord bears."""


def of(*, is_stopped: bool = False, eta: float | None = None, cost: int = 0, **more: int) -> Tally:
    status = status_of(Counts(**more), is_stopped=is_stopped)
    return Tally(**more, cost_micro=cost, eta_seconds=eta, status=status)


def view(tally: Tally, **more) -> View:
    base = {"short": "run-7f3kd", "name": "Bump Ruff", "pull_counts": {}}
    return View(tally=tally, **{**base, **more})


def failed(place: int, why: str = "the tests failed", repository: str = "acme/pay"):
    return SimpleNamespace(place=place, repository=repository, why=why)


def pull(number: int, state: str = "open", repository: str = "acme/pay"):
    url = f"https://github.com/{repository}/pull/{number}"
    return SimpleNamespace(place=1, repository=repository, number=number, url=url, state=state)


def test_progress_says_how_far_it_is_what_failed_and_what_was_opened():
    found = of(done=206, failed=6, running=25, waiting=263, eta=2_350, cost=3_200_000)
    said = progress(
        view(
            found,
            undone=[failed(place) for place in range(1, 6)],
            pull_counts={"open": 180, "merged": 3},
            pulls=[pull(number) for number in range(6)],
        )
    )
    assert said.splitlines()[:4] == [
        "**Bump Ruff** (`run-7f3kd`): running. 3.20 USD.",
        "████████░░░░░░░░░░░░ 42 %",
        "206 done, 6 failed, 25 running, 263 waiting",
        "About 40 minutes are left.",
    ]
    assert "- #1 acme/pay: the tests failed" in said
    assert "- 1 more on its page" in said
    assert "Pull requests: 180 open, 3 merged." in said
    assert "- [acme/pay#0](https://github.com/acme/pay/pull/0)" in said
    assert "- 177 more on its page" in said


def test_it_is_said_in_german_too():
    found = of(done=1, failed=1, waiting=2, eta=90)
    with speaking("de"):
        said = progress(view(found, undone=[failed(2)]))
    assert "läuft" in said
    assert "1 fertig, 1 fehlgeschlagen, 2 warten" in said
    assert "Noch etwa 2 Minuten." in said
    assert "Fehlgeschlagen oder gestoppt:" in said


def test_a_report_of_one_target_is_its_answer_and_its_pull_request():
    said = report(
        view(of(done=1), answer="All **green**.", pull_counts={"open": 1}, pulls=[pull(12)])
    )
    assert said == (
        "**Bump Ruff** (`run-7f3kd`): succeeded.\n\nPull requests: 1 open.\n"
        "- [acme/pay#12](https://github.com/acme/pay/pull/12)\n\nAll **green**."
    )
    assert "no reason is known" in report(view(of(failed=1), undone=[failed(1, why="")]))
    assert report(view(of(done=1), answer="Nothing to report.")).endswith("succeeded.")


def test_why_it_was_stopped_is_said():
    found = of(done=1, stopped=2, is_stopped=True)
    assert "stopped. It was stopped: Ann stopped the run." in report(
        view(found, stopped="Ann stopped the run")
    )


@pytest.mark.parametrize(
    ("tally", "says"),
    [
        (of(running=1, waiting=1), ["runs stop run-1"]),
        (of(failed=1, running=1), ["runs stop run-1"]),
        (of(running=1, is_stopped=True), []),
        (of(done=1, failed=1), ["runs rerun run-1 failed"]),
        (of(stopped=2, is_stopped=True), ["runs rerun run-1 failed"]),
        (of(done=2), []),
    ],
)
def test_buttons_do_what_can_be_done_now(tally, says):
    made = buttons("run-1", tally, "https://ona.test")
    assert made[0].url == "https://ona.test/runs/run-1"
    assert [one.says for one in made[1:]] == says
    assert [one.says for one in buttons("run-1", tally, "")] == says


def test_runs_are_listed_a_line_each():
    row = {"short": "run-1", "status": "partly", "name": "x", "counts": Counts(done=2, failed=1)}
    assert listed([row]) == "run-1  partly succeeded  x  2 done, 1 failed"
    assert listed([]) == "There is no run yet."
    assert counts(Counts()) == "There is no target."


def test_targets_that_somebody_may_not_read_are_counted_and_not_named():
    whole = view(
        of(failed=2, done=1, running=1),
        undone=[failed(1, repository="acme/secret"), failed(2)],
        pulls=[pull(7, repository="acme/secret")],
        pull_counts={"open": 1},
        asking=[SimpleNamespace(place=1, repository="acme/secret")],
        asking_count=1,
    )
    said = shown(whole.without({2}))
    assert "secret" not in said
    assert "2 failed" in said
    assert "Pull requests: 1 open." in said


words = st.text(max_size=300)
rows = st.builds(
    lambda place, repository, why: SimpleNamespace(place=place, repository=repository, why=why),
    st.integers(1, 1000),
    words,
    words,
)
opened = st.builds(
    lambda repository, number, tail: SimpleNamespace(
        place=1, repository=repository, number=number, state="open", url=f"https://f.test/{tail}"
    ),
    words,
    st.integers(1, 10**6),
    st.text("abc/", max_size=400),
)


@given(
    name=words,
    undone=st.lists(rows, max_size=20),
    pulls=st.lists(opened, max_size=20),
    stopped=words,
)
def test_however_much_there_is_it_fits_into_a_post(name, undone, pulls, stopped):
    found = of(done=300, failed=100, stopped=50, skipped=30, running=10, waiting=10, eta=1e6)
    some = view(
        found,
        name=name,
        undone=undone,
        pulls=pulls,
        pull_counts={"open": 400},
        stopped=stopped,
        asking=undone,
        asking_count=40,
    )
    assert max(len(progress(some)), len(report(some))) <= LENGTH_MAX
    lines = progress(some).count("\n")
    assert lines <= 12 + run_words.UNDONE_SHOWN_MAX + run_words.PULLS_SHOWN_MAX + 5


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=200))
def test_words_of_others_mean_nothing(said):
    dialect = Markdown(heading_level_max=3)
    shown_as = written(f"- x: {run_words.plain(said, 100)}", dialect, lambda text: text)
    assert (
        shown_as
        == written(f"- x: {'y'}", dialect, lambda text: text)
        .replace("y", shortened(said, 100))
        .rstrip()
    )


@pytest.mark.parametrize(
    "hostile", ["**bold**", "[x](https://evil.test)", "<https://evil.test>", "`code`", "# big"]
)
def test_a_name_with_markup_is_shown_as_it_is(hostile):
    said = written(
        report(view(of(done=2), name=hostile)), Markdown(heading_level_max=3), lambda text: text
    )
    assert hostile in said
