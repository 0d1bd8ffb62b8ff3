"""A build that nobody wants any more from any of its steps on."""

import pytest

from tests.fakes.mortal import Mortal
from tests.integration.pool.test_pools import ROOMY, build, limits
from vmpool.machine import TemplateState

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
STEPS_MAX = 60


class Changed(Mortal):
    """The definition of what is built is changed at a step of ours."""

    def __init__(self) -> None:
        super().__init__()
        self.give_up = lambda: None
        self.after: int | None = None

    def step(self, name: str) -> None:
        if self.after is None:
            return
        if self.after == 0:
            self.give_up()
        self.after -= 1


async def test_one_that_is_given_up_at_any_step_leaves_nothing_and_one_too_late_is_ready(yards):
    changed = Changed()
    yard = yards.make(mortal=changed, **ROOMY, demand=limits(hot=0, cold=0))
    changed.give_up = yard.builder.give_up
    ends = []
    for step in range(STEPS_MAX):
        changed.after = step
        built = await build(yard, setup=f"setup {step}")
        is_over, changed.after = changed.after >= 0, None
        assert yard.host.machines == {}
        kept = await yard.rows.templates(TemplateState.READY, TemplateState.RETIRED)
        assert {str(one.id) for one in kept} == set(yard.host.templates)
        assert await yard.rows.templates(TemplateState.BUILDING, TemplateState.FAILED) == []
        ends.append(built.state if built is not None else TemplateState.GONE)
        if is_over:
            break
    assert TemplateState.GONE in ends
    assert ends[-1] is TemplateState.READY
