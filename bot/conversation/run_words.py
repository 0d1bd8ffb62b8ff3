"""What is said of runs: their progress and their end in threads, and lists of them; pure.

Progress and reports are Markdown, a few lines each however many targets there are: what does not
fit is on the run's page. Names and reasons of others are shown as they are.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from adapters.chat.port import Button
from bot.automate.runs.actionable import is_nothing
from bot.automate.runs.tally import Counts, Status, Tally
from bot.conversation.buttons import labelled
from bot.words.amounts import dollars
from bot.words.amounts import short as shortened
from bot.words.catalogue import N_, Message, ngettext, together
from bot.words.catalogue import gettext as _

UNDONE_SHOWN_MAX = 5
ASKING_SHOWN_MAX = 3
PULLS_SHOWN_MAX = 6
NAME_LENGTH_MAX = 60
WHY_LENGTH_MAX = 100
ANSWER_LENGTH_MAX = 1_500
"""Of a single target's answer, in characters of its Markdown; surfaces may bear less."""
URL_LENGTH_MAX = 200
"""Longer links are left out."""
BAR_LENGTH = 20
OPEN = N_("Open run")
STOP_ALL = N_("Stop all")
RERUN_FAILED = N_("Re-run failed")
STATUSES: Mapping[Status, str] = {
    "waiting": N_("waiting"),
    "running": N_("running"),
    "stopping": N_("being stopped"),
    "succeeded": N_("succeeded"),
    "partly": N_("partly succeeded"),
    "failed": N_("failed"),
    "stopped": N_("stopped"),
}
_PULL_STATES = {
    "open": N_("{count} open"),
    "merged": N_("{count} merged"),
    "closed": N_("{count} closed"),
}
_MARKS = re.compile(r"([\\`*_\[\]<>&~|])")


@dataclass(frozen=True, kw_only=True)
class View:
    """What is known of a run when something is said of it."""

    short: str
    name: str
    tally: Tally
    pull_counts: Mapping[str, int]
    pulls: Sequence[Any] = ()
    """{place, repository, number, url, state} of the first ones."""
    undone: Sequence[Any] = ()
    """{place, repository, why} of the first ones that failed or were stopped."""
    asking: Sequence[Any] = ()
    """{place, repository} of the first ones whose agent waits for a person."""
    asking_count: int = 0
    answer: str = ""
    """What the only target reports; Markdown."""
    stopped: str = ""
    """Why it was stopped."""

    def without(self, told: Collection[int]) -> "View":
        """The same for somebody who may only be told of the targets at these places."""
        return replace(
            self,
            pulls=[one for one in self.pulls if one.place in told],
            undone=[one for one in self.undone if one.place in told],
            asking=[one for one in self.asking if one.place in told],
            answer=self.answer if self.tally.total != 1 or 1 in told else "",
        )


def progress(view: View) -> Message:
    """The one post of a fleet, which is edited as it goes on."""
    lines = [_head(view), _bar(view.tally), counts(view.tally)]
    if view.tally.eta_seconds:
        lines.append(_left(view.tally.eta_seconds))
    return _blocks(together(*lines, by="\n"), *_details(view))


def report(view: View) -> Message:
    """What is said when a run is over."""
    if view.tally.total == 1:
        return _of_one(view)
    return _blocks(together(_head(view), counts(view.tally), by="\n"), *_details(view))


def buttons(short: str, tally: Tally, pages: str) -> tuple[Button, ...]:
    """Below either: to its page, and what can be done to it as it is now.

    :param pages: address of our pages; empty: no button leads there
    """
    made = []
    if pages:
        made.append(Button(label=OPEN, url=f"{pages}/runs/{short}"))
    if not tally.is_over and tally.status != "stopping":
        made.append(Button(label=STOP_ALL, says=f"runs stop {short}"))
    if tally.is_over and (tally.failed or tally.stopped):
        made.append(Button(label=RERUN_FAILED, says=f"runs rerun {short} failed"))
    return tuple(labelled(button) for button in made)


def counts(found: Counts) -> Message:
    """`206 done, 6 failed, 25 running, 263 waiting`; states without any are left out."""
    named = (
        (found.done, N_("{count} done")),
        (found.failed, N_("{count} failed")),
        (found.running, N_("{count} running")),
        (found.waiting, N_("{count} waiting")),
        (found.skipped, N_("{count} skipped")),
        (found.stopped, N_("{count} stopped")),
    )
    said = [_(words, count=count) for count, words in named if count]
    return together(*said, by=", ") if said else _("There is no target.")


def listed(rows: Sequence[Mapping[str, Any]]) -> Message:
    """Runs, a line each."""
    if not rows:
        return _("There is no run yet.")
    return together(*(_line(row) for row in rows), by="\n")


def shown(view: View) -> Message:
    """One run, for who asks for it."""
    return _of_one(view) if view.tally.total == 1 else progress(view)


def for_agent(run: Mapping[str, Any], tally: Tally, targets: Sequence[Mapping[str, Any]]) -> str:
    """How a fleet stands, for the agent of its own session: a line for each of its targets."""
    status = _(STATUSES[tally.status])
    head = _("Run {run} ({name}): {status}.", run=run["short"], name=run["name"], status=status)
    lines: list[str] = [head, counts(tally)]
    for one in targets:
        why = f": {shortened(one['why'], WHY_LENGTH_MAX)}" if one["why"] else ""
        urls = "".join(f" {pull['url']}" for pull in one["pulls"])
        lines.append(f"#{one['place']} {one['repository']} {one['state']}{why}{urls}")
    return "\n".join(lines)


def _line(row: Mapping[str, Any]) -> Message:
    return together(
        str(row["short"]),
        _(STATUSES[row["status"]]),
        shortened(str(row["name"]), NAME_LENGTH_MAX),
        counts(row["counts"]),
        by="  ",
    )


def _head(view: View) -> Message:
    cost = dollars(view.tally.cost_micro)
    said = _(
        "**{name}** (`{run}`): {status}.",
        name=plain(view.name, NAME_LENGTH_MAX),
        run=view.short,
        status=_(STATUSES[view.tally.status]),
    )
    if view.stopped:
        said = together(said, _("It was stopped: {why}.", why=plain(view.stopped, WHY_LENGTH_MAX)))
    return together(said, _("{cost} USD.", cost=cost)) if view.tally.cost_micro else said


def _bar(found: Counts) -> str:
    full = BAR_LENGTH * found.over // max(1, found.total)
    percent = 100 * found.over // max(1, found.total)
    return f"{'█' * full}{'░' * (BAR_LENGTH - full)} {percent} %"


def _left(seconds: float) -> Message:
    """Rounded up, so that the same words stand there for a while."""
    minutes = ceil(seconds / 60)
    if minutes < 60:
        return ngettext("About {count} minute is left.", "About {count} minutes are left.", minutes)
    hours = ceil(minutes / 60)
    return ngettext("About {count} hour is left.", "About {count} hours are left.", hours)


def _details(view: View) -> list[Message]:
    return [*_undone(view), *_asking(view), *_pulls(view)]


def _undone(view: View) -> list[Message]:
    count = view.tally.failed + view.tally.stopped
    if not count:
        return []
    shown = view.undone[:UNDONE_SHOWN_MAX]
    lines: list[str] = [_("Failed or stopped:")]
    lines += [_item(together(f"{_target(one)}:", _why(one))) for one in shown]
    return [together(*lines, *_more(count - len(shown)), by="\n")]


def _asking(view: View) -> list[Message]:
    if not view.asking_count:
        return []
    shown = view.asking[:ASKING_SHOWN_MAX]
    lines: list[str] = [_("Waiting for an answer:"), *(_item(_target(one)) for one in shown)]
    return [together(*lines, *_more(view.asking_count - len(shown)), by="\n")]


def _pulls(view: View) -> list[Message]:
    count = sum(view.pull_counts.values())
    if not count:
        return []
    kinds = [
        _(words, count=view.pull_counts[state])
        for state, words in _PULL_STATES.items()
        if view.pull_counts.get(state)
    ]
    shown = view.pulls[:PULLS_SHOWN_MAX]
    head = _("Pull requests: {kinds}.", kinds=together(*kinds, by=", "))
    lines = [head, *(_item(_link(one)) for one in shown)]
    return [together(*lines, *_more(count - len(shown)), by="\n")]


def _more(count: int) -> list[Message]:
    if count <= 0:
        return []
    return [_item(ngettext("{count} more on its page", "{count} more on its page", count))]


def _of_one(view: View) -> Message:
    """The report of a run with one target: its answer, its pull requests, or why there is none."""
    answer = "" if is_nothing(view.answer) else view.answer.strip()
    if len(answer) > ANSWER_LENGTH_MAX:
        answer = answer[: ANSWER_LENGTH_MAX - 1].rstrip() + "…"
    parts: list[str] = [_why(one) for one in view.undone[:1]]
    return _blocks(
        _head(view), *parts, *_asking(view), *_pulls(view), *([answer] if answer else [])
    )


def _blocks(*blocks: str) -> Message:
    return together(*blocks, by="\n\n")


def _item(words: str) -> Message:
    return together("-", words)


def _why(one: Any) -> str:
    return plain(one.why, WHY_LENGTH_MAX) or _("no reason is known")


def _target(one: Any) -> str:
    return f"#{one.place} {plain(one.repository, NAME_LENGTH_MAX)}"


def _link(pull: Any) -> str:
    label = f"{plain(pull.repository, NAME_LENGTH_MAX)}#{pull.number}"
    if len(pull.url) > URL_LENGTH_MAX or re.search(r"[\s<>()]", pull.url):
        return label
    return f"[{label}]({pull.url})"


def plain(words: str, length_max: int) -> str:
    """Words of others on one line, as Markdown that shows them as they are; pure."""
    return _MARKS.sub(r"\\\1", shortened(words, length_max))
