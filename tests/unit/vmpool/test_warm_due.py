"""Which template is built when, by table."""

import dataclasses
import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmpool.driver import Image, MachineSpec
from vmpool.machine import Template, TemplateState
from vmpool.registry import Order
from vmpool.warm.breaker import BACK_OFF_SECONDS_MAX, BACK_OFF_SECONDS_MIN, Breaker
from vmpool.warm.due import (
    FAILED_KEPT,
    RETRY_SECONDS_MAX,
    RETRY_SECONDS_MIN,
    Due,
    Wanted,
    due,
    is_let_go,
    is_wanted,
    none_made,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)
PROJECT = uuid4()
REBUILD_SECONDS = 1800.0


def wanted(
    *,
    commit="new",
    setup="make",
    vcpus=1,
    memory_mib=512,
    disk_gib=8,
    digest="image",
    begun_after=None,
):
    image = Image(kernel=Path("k"), initrd=Path("i"), disk=Path("d"), digest=digest)
    spec = MachineSpec(image=image, vcpus=vcpus, memory_mib=memory_mib, disk_gib=disk_gib)
    return Wanted(
        order=Order(project_id=PROJECT, size="small", spec=spec),
        ingredients=(setup,),
        commit=commit,
        begun_after=begun_after,
    )


def template(state=TemplateState.READY, *, commit="new", seconds=60.0, of=None, failures=0):
    moment = NOW - timedelta(seconds=seconds)
    return Template(
        id=uuid4(),
        host_id=uuid4(),
        project_id=PROJECT,
        size="small",
        vcpus=1,
        memory_mib=512,
        disk_gib=8,
        image_digest="image",
        fingerprint=(of or wanted()).fingerprint("driver"),
        commit=commit,
        failures=failures,
        state=state,
        created_at=moment,
        changed_at=moment,
    )


def decide(want, templates=(), *, used=(), driver="driver") -> Due:
    return due(
        [want] if want else [],
        templates,
        frozenset(used),
        bound_to={want.key: driver} if want else {},
        now=NOW,
        rebuild_seconds=REBUILD_SECONDS,
    )


def decide_all(wants, templates=()) -> Due:
    return due(
        wants,
        templates,
        frozenset(),
        bound_to={want.key: "driver" for want in wants},
        now=NOW,
        rebuild_seconds=REBUILD_SECONDS,
    )


@pytest.mark.parametrize(
    ("want", "there", "why"),
    [
        (wanted(), [], "there is none yet"),
        (wanted(), [template()], ""),
        (wanted(), [template(TemplateState.BUILDING)], ""),
        (wanted(setup="other"), [template()], "its set-up, its image, its size"),
        (wanted(digest="other"), [template()], "its set-up, its image, its size"),
        (wanted(memory_mib=1024), [template()], "its set-up, its image, its size"),
        (wanted(vcpus=2), [template()], "its set-up, its image, its size"),
        (wanted(disk_gib=9), [template()], "its set-up, its image, its size"),
        (wanted(), [template(commit="old", seconds=60)], ""),
        (wanted(), [template(commit="old", seconds=1801)], "the base branch moved on"),
        (wanted(commit=""), [template(commit="old", seconds=10**6)], ""),
        (wanted(), [template(commit="old", seconds=-3600)], "the base branch moved on"),
        (wanted(begun_after=NOW), [template()], "somebody asked for it"),
        (wanted(begun_after=NOW - timedelta(hours=1)), [template()], ""),
        (wanted(), [template(TemplateState.RETIRED)], "there is none yet"),
    ],
)
def test_a_template_is_built_when_what_goes_in_changed(want, there, why):
    decided = decide(want, there)
    assert (decided.build is want) == bool(why)
    assert (decided.first is not None) == bool(why)
    if decided.first is not None:
        assert decided.first.why.startswith(why)


def test_another_build_of_the_hypervisor_or_another_host_makes_it_new():
    assert decide(wanted(), [template()], driver="newer").build is not None


@pytest.mark.parametrize("failures", [1, 2, 3, 5])
def test_what_fails_is_tried_again_later_and_later(failures):
    pause = RETRY_SECONDS_MIN * 2 ** (failures - 1)

    def failed(last: float) -> list[Template]:
        return [template(TemplateState.FAILED, seconds=last, failures=failures - 1)]

    held = decide(wanted(), failed(pause - 1))
    assert held.build is None
    (wait,) = held.waits
    assert (wait.why, wait.failures) == ("there is none yet", failures)
    assert wait.not_before == NOW + timedelta(seconds=1)
    assert decide(wanted(), failed(pause)).build is not None
    assert decide(wanted(), failed(-3600)).build is not None, "the clock was set back"
    assert decide(wanted(setup="mended"), failed(1)).build is not None
    asked = decide(wanted(begun_after=NOW), failed(1))
    assert asked.build is not None
    assert asked.waits[0].failures == 0, "counted anew"


def test_what_is_to_be_built_waits_for_what_is_before_it_and_says_how_much_that_is():
    first, held, last = wanted(), wanted(), wanted()
    wants = [
        dataclasses.replace(one, order=dataclasses.replace(one.order, size=size))
        for one, size in ((first, "small"), (held, "medium"), (last, "large"))
    ]
    old = template(commit="old", seconds=REBUILD_SECONDS - 60)
    old.size, old.fingerprint = "medium", wants[1].fingerprint("driver")
    decided = decide_all(wants, [old])
    assert decided.build is wants[0]
    assert [(wait.key[1], wait.ahead, wait.not_before) for wait in decided.waits] == [
        ("small", 0, None),
        ("medium", 0, NOW + timedelta(seconds=60)),
        ("large", 1, None),
    ]
    building = template(TemplateState.BUILDING)
    assert [(wait.key[1], wait.ahead) for wait in decide_all(wants, [old, building]).waits] == [
        ("medium", 0),
        ("large", 1),
    ]


def test_what_nobody_wants_retires_and_what_nothing_waits_of_goes():
    ready, retired, used = (
        template(),
        template(TemplateState.RETIRED),
        template(TemplateState.RETIRED),
    )
    decided = decide(None, [ready, retired, used], used=[used.id])
    assert decided.retire == (ready.id,)
    assert decided.forget == (retired.id,)


def test_the_logs_of_the_last_failures_are_kept():
    failed = [template(TemplateState.FAILED, seconds=n) for n in range(1, FAILED_KEPT + 3)]
    assert decide(None, failed).forget == tuple(one.id for one in failed[FAILED_KEPT:])


def test_a_failure_of_what_is_not_wanted_any_more_goes_once_what_is_wanted_is_built():
    other = template(TemplateState.FAILED, of=wanted(setup="make wrong"))
    same = template(TemplateState.FAILED, seconds=3600)
    assert decide(wanted(), [other, same]).forget == ()
    assert decide(wanted(), [other, same, template()]).forget == (other.id,)
    assert decide(None, [other, same, template()]).forget == ()
    assert decide(wanted(), [other, template()], used=[other.id]).forget == ()


@pytest.mark.parametrize(
    ("wants", "is_it"),
    [
        ([wanted()], True),
        ([wanted(setup="make all"), wanted()], True),
        ([wanted(commit="newer", begun_after=NOW)], True),
        ([wanted(setup="make all")], False),
        ([wanted(digest="other image")], False),
        ([wanted(memory_mib=1024)], False),
        ([], False),
    ],
)
def test_what_is_being_built_is_wanted_while_a_project_wants_its_fingerprint(wants, is_it):
    building = template(TemplateState.BUILDING)
    bound_to = {want.key: "driver" for want in wants}
    assert is_wanted(building, wants, bound_to) is is_it


def test_another_build_of_the_driver_wants_another_template():
    building = template(TemplateState.BUILDING)
    assert not is_wanted(building, [wanted()], {wanted().key: "newer driver"})


@pytest.mark.parametrize("state", TemplateState)
def test_a_pool_is_let_go_when_its_newest_template_has_retired(state):
    assert is_let_go(template(state)) is (state is TemplateState.RETIRED)


def test_a_pool_without_a_template_says_why_it_has_no_machines():
    assert "failed" in none_made(template(TemplateState.FAILED))
    assert "no template" in none_made(template(TemplateState.RETIRED))


def test_lists_that_run_together_have_different_fingerprints():
    assert wanted(setup="a").fingerprint("d") != wanted(setup="a ").fingerprint("d")
    assert wanted().fingerprint("d") == wanted(commit="other").fingerprint("d")


def test_a_breaker_waits_twice_as_long_each_time_and_never_for_ever():
    breaker, waits = Breaker(), []
    for _ in range(30):
        breaker = breaker.failed(1000.0, "no")
        waits.append(breaker.until - 1000)
    assert waits[:3] == [BACK_OFF_SECONDS_MIN * n for n in (1, 2, 4)]
    assert waits[-1] == BACK_OFF_SECONDS_MAX
    assert breaker.is_open(1001)
    assert breaker.words(1000) == "failed 30 times, next try in 1800 s: no"
    assert not breaker.is_open(1000 - 3600), "a clock that went back"
    assert breaker.words(1000 + BACK_OFF_SECONDS_MAX) is None
    assert Breaker().words(0) is None


@dataclass
class World:
    """A repository, a host, and one pool's templates, over time."""

    now: datetime = NOW
    commits: int = 0
    upgrades: int = 0
    works: bool = True
    templates: list[Template] = field(default_factory=list)
    begun: list[tuple[datetime, str]] = field(default_factory=list)
    """When a build began, and why."""

    def want(self) -> Wanted:
        return wanted(commit=str(self.commits))

    def decide(self) -> Due:
        want = self.want()
        return due(
            [want],
            self.templates,
            frozenset(),
            bound_to={want.key: f"driver {self.upgrades}"},
            now=self.now,
            rebuild_seconds=REBUILD_SECONDS,
        )

    def tend(self, builds_for: float) -> None:
        """What a host does on its clock: a build takes its time, and other decisions fall in it."""
        decided = self.decide()
        assert decided.retire == ()
        self.templates = [one for one in self.templates if one.id not in decided.forget]
        if decided.build is None or decided.first is None:
            assert decided.build is decided.first is None
            return
        made = template(TemplateState.BUILDING, commit=str(self.commits))
        made.fingerprint = decided.build.fingerprint(f"driver {self.upgrades}")
        made.created_at = made.changed_at = self.now
        made.failures = decided.first.failures
        self.templates.append(made)
        self.begun.append((self.now, decided.first.why))
        assert self.decide().build is None, "one is being built"
        self.now += timedelta(seconds=builds_for)
        made.changed_at = self.now
        made.state = TemplateState.READY if self.works else TemplateState.FAILED
        for one in self.templates:
            if self.works and one is not made and one.state is TemplateState.READY:
                one.state = TemplateState.RETIRED


EVENTS = st.sampled_from(["push", "upgrade", "break", "mend", "wait"])


@given(st.lists(st.tuples(EVENTS, st.floats(1, 4000), st.floats(0, 900)), max_size=40))
def test_whatever_happens_a_moving_branch_alone_has_nothing_built_sooner_than_it_may(history):
    world = World()
    for event, seconds, builds_for in history:
        match event:
            case "push":
                world.commits += 1
            case "upgrade":
                world.upgrades += 1
            case "break" | "mend":
                world.works = event == "mend"
        world.now += timedelta(seconds=seconds)
        ready = [one for one in world.templates if one.state is TemplateState.READY]
        before = len(world.begun)
        world.tend(builds_for)
        for began, why in world.begun[before:]:
            if why == "the base branch moved on":
                assert began - ready[0].created_at >= timedelta(seconds=REBUILD_SECONDS)
        assert len([one for one in world.templates if one.state is TemplateState.READY]) <= 1
        failed = [one for one in world.templates if one.state is TemplateState.FAILED]
        assert len(failed) <= FAILED_KEPT + 1
    world.works = True
    for _ in range(3):
        world.now += timedelta(seconds=RETRY_SECONDS_MAX)
        world.tend(1)
    (ready,) = [one for one in world.templates if one.state is not TemplateState.FAILED]
    assert (ready.state, ready.commit) == (TemplateState.READY, str(world.commits))
    assert world.decide() == Due(), "and nothing is left to do"


def test_what_fails_for_days_is_tried_twice_as_late_each_time_though_few_failures_are_kept():
    world = World(works=False)
    for _ in range(2 * 24 * 60):
        world.tend(0)
        world.now += timedelta(minutes=1)
    begun = [began for began, _ in world.begun]
    gaps = [(after - before).total_seconds() for before, after in itertools.pairwise(begun)]
    doubled = [RETRY_SECONDS_MIN * 2**n for n in range(len(gaps))]
    assert gaps == [min(gap, RETRY_SECONDS_MAX) for gap in doubled]
    assert gaps[-1] == RETRY_SECONDS_MAX
    assert len(world.templates) <= FAILED_KEPT + 1
