"""What docs/automation-triggers.md says of limits, signatures and filters is what the code does."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from bot.automate import backing_off
from bot.automate.definition import Definition
from bot.automate.triggers import (
    events,
    failing,
    hook_checks,
    hook_filter,
    hook_intake,
    taking_decided,
)
from bot.conversation import overhearing

PAGE = (Path(__file__).parents[2] / "docs" / "automation-triggers.md").read_text()
TEXT = " ".join(PAGE.split())
FILES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
(SHELL,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(
    "said",
    [
        f"more than {taking_decided.LOOP_DEPTH_MAX} runs one after the other",
        f"could not be begun {taking_decided.ATTEMPTS_MAX} times",
        f"again after {backing_off.BACK_OFF_SECONDS:g} seconds",
        f"at most {backing_off.BACK_OFF_SECONDS_MAX / 60:g} minutes",
        f"After {taking_decided.ATTEMPTS_MAX} tries",
        f"up to {taking_decided.QUEUED_MAX} in line",
        f"at most {events.EVENTS_PER_HOUR_MAX:,} events",
        f"kept for {events.KEPT_DAYS} days",
        f"at most {hook_checks.BODY_BYTES_MAX:,} bytes",
        f"{hook_checks.WINDOW_SECONDS // 60} minutes before and after",
        f"within {2 * hook_checks.WINDOW_SECONDS // 60} minutes",
        f"at most {hook_checks.KEY_LENGTH_MAX} characters",
        f"more than {hook_intake.DELIVERIES_PER_MINUTE} deliveries a minute",
        f"at most {overhearing.TEXT_LENGTH_MAX:,} characters",
    ],
)
def test_the_limits_of_the_page_hold(said) -> None:
    assert said in TEXT


def test_so_many_failures_pause() -> None:
    assert failing.FAILURES_MAX == 3
    assert "After three failed runs in a row" in TEXT


@pytest.mark.parametrize("said", FILES)
def test_the_triggers_of_the_page_are_some(said) -> None:
    steps = [{"run": "true"}]
    made = Definition.model_validate({"name": "x", "steps": steps, **yaml.safe_load(said)})
    assert len(made.triggers) == 1


def test_the_filter_of_the_page_lets_through_what_it_means() -> None:
    wanted = yaml.safe_load(FILES[0])["triggers"][0]["webhook"]["filter"]
    body = {
        "action": "opened",
        "pull_request": {"base": {"ref": "main"}},
        "labels": [{"name": "later"}, {"name": "urgent"}],
    }
    assert hook_filter.missed(wanted, body) == ""
    assert hook_filter.missed(wanted, {**body, "labels": []}) == "labels.*.name"


def test_the_shell_of_the_page_signs_as_the_code_does() -> None:
    signing, _, _ = SHELL.partition("curl")
    shown = f'HOOK_SECRET=s3cret\n{signing}\necho "$now $signature $body"'
    run = subprocess.run(["bash", "-c", shown], capture_output=True, text=True, check=True)
    now, made, body = run.stdout.strip().split(" ", 2)
    assert f"sha256={made}" == hook_checks.signature("s3cret", int(now), body.encode())
