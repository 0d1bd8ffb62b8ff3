"""What is done about machines that wait: by table, and over random hosts until nothing is left."""

import dataclasses
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmpool.warm.plan import (
    ACTIONS_MAX,
    DWELL_SECONDS,
    Action,
    Do,
    Pool,
    Room,
    Stage,
    Waiting,
    lacks,
    plan,
)

ROOMY = Room(memory_mib=10_000, machines=100, disk=True)
OLD = DWELL_SECONDS + 1


def pool(hot=1, cold=1, *, rate=1.0, memory_mib=100, held=False, template_id=None, retired=()):
    return Pool(
        template_id=template_id or uuid4(),
        retired=frozenset(retired),
        hot=hot,
        cold=cold,
        claims_per_hour=rate,
        memory_mib=memory_mib,
        held=held,
    )


def machine(of: Pool | UUID, stage=Stage.HOT, *, seconds=OLD):
    template_id = of.template_id if isinstance(of, Pool) else of
    assert template_id is not None
    return Waiting(id=uuid4(), template_id=template_id, stage=stage, seconds=seconds)


def done(actions: list[Action]) -> list[tuple[Do, UUID]]:
    return [(action.do, action.subject) for action in actions]


def test_an_empty_pool_is_filled_with_clones_first():
    one = pool(hot=2, cold=1)
    assert done(plan([one], [], ROOMY)) == [(Do.CLONE, one.template_id)] * 3


def test_what_is_cold_is_heated_and_what_is_being_made_is_not_made_twice():
    one = pool(hot=2, cold=1)
    cold = machine(one, Stage.COLD)
    making = [machine(one, Stage.HEATING), machine(one, Stage.CLONING)]
    assert done(plan([one], [cold, *making], ROOMY)) == [(Do.HEAT, cold.id)]


def test_a_pool_that_is_as_it_should_be_is_left_alone():
    one = pool(hot=1, cold=1)
    assert plan([one], [machine(one), machine(one, Stage.COLD)], ROOMY) == []


def test_one_too_many_goes_after_a_while_and_not_at_once():
    one = pool(hot=1, cold=0)
    old, young = machine(one), machine(one, seconds=1)
    assert done(plan([one], [young, old], ROOMY)) == [(Do.REMOVE, old.id)]
    assert plan([one], [machine(one, seconds=1), young], ROOMY) == []


def test_a_cold_one_too_many_goes_after_a_while_too():
    one = pool(hot=0, cold=1)
    cold = [machine(one, Stage.COLD, seconds=1) for _ in range(2)]
    assert plan([one], cold, ROOMY) == []
    old = machine(one, Stage.COLD)
    assert done(plan([one], [old, cold[0]], ROOMY)) == [(Do.REMOVE, old.id)]


def test_what_nobody_makes_anything_of_goes_and_so_does_what_has_no_pool():
    one = pool(hot=0, cold=0)
    stranded, orphan = machine(one, Stage.STRANDED), machine(uuid4(), Stage.COLD)
    assert done(plan([one], [orphan, stranded], ROOMY)) == [
        (Do.REMOVE, stranded.id),
        (Do.REMOVE, orphan.id),
    ]


def test_the_old_template_s_machines_wait_until_the_new_pool_is_filled():
    before = uuid4()
    one = pool(hot=1, cold=0, retired=[before])
    old = machine(before)
    assert done(plan([one], [old], ROOMY)) == [(Do.CLONE, one.template_id)]
    assert done(plan([one], [old, machine(one)], ROOMY)) == [(Do.REMOVE, old.id)]


def test_a_new_pool_is_filled_when_as_many_are_hot_and_as_many_wait_as_should():
    before = uuid4()
    one = pool(hot=1, cold=1, retired=[before])
    old, hot, cold = machine(before), machine(one), machine(one, Stage.COLD)
    others = [machine(one, Stage.COLD), machine(one, Stage.COLD)]

    def removed(*of_the_new: Waiting) -> list[UUID]:
        actions = plan([one], [old, *of_the_new], ROOMY)
        return [action.subject for action in actions if action.do is Do.REMOVE]

    assert removed(hot) == [], "none is cold"
    assert removed(*others) == [], "none is hot"
    assert removed(hot, cold) == [old.id]


def test_a_pool_that_should_hold_nothing_keeps_nothing_of_an_older_template_either():
    before = uuid4()
    one = pool(hot=0, cold=0, retired=[before])
    hot, cold = machine(before), machine(before, Stage.COLD)
    assert done(plan([one], [hot, cold], ROOMY)) == [(Do.REMOVE, hot.id), (Do.REMOVE, cold.id)]


def test_sessions_get_memory_from_machines_of_older_templates_first():
    before = uuid4()
    one = pool(hot=2, cold=0, retired=[before])
    old, new = machine(before), machine(one)
    short = Room(memory_mib=-50, machines=1, disk=False)
    assert done(plan([one], [new, old], short)) == [(Do.REMOVE, old.id)]


@pytest.mark.parametrize(
    "tight",
    [Room(memory_mib=50, machines=9, disk=True), Room(memory_mib=9_000, machines=0, disk=True)],
)
def test_without_room_for_both_the_old_template_s_machines_are_replaced_one_by_one(tight):
    before = uuid4()
    one = pool(hot=2, cold=0, retired=[before])
    old = [machine(before), machine(before)]
    asleep = [machine(one, Stage.COLD), machine(one, Stage.COLD)]
    assert done(plan([one], old, tight)) == [(Do.CLONE, one.template_id)] * 2, "none goes yet"
    assert done(plan([one], [*old, *asleep], tight)) == [
        (Do.REMOVE, old[0].id),
        (Do.HEAT, asleep[1].id),
        (Do.REMOVE, old[1].id),
        (Do.HEAT, asleep[0].id),
    ]


def test_its_own_old_machine_goes_before_another_pool_s():
    before = uuid4()
    one, less = pool(hot=1, cold=0, retired=[before], rate=9), pool(hot=1, cold=0)
    old, other, asleep = machine(before), machine(less), machine(one, Stage.COLD)
    tight = Room(memory_mib=0, machines=9, disk=True)
    assert done(plan([one, less], [old, other, asleep], tight)) == [
        (Do.REMOVE, old.id),
        (Do.HEAT, asleep.id),
    ]


def test_a_pool_without_a_template_keeps_what_it_has():
    one = Pool(
        template_id=None,
        retired=frozenset({before := uuid4()}),
        hot=1,
        cold=1,
        claims_per_hour=1,
        memory_mib=100,
    )
    assert plan([one], [machine(before)], ROOMY) == []


def test_a_pool_that_is_held_makes_nothing():
    assert plan([pool(hot=3, cold=3, held=True)], [], ROOMY) == []


def test_memory_goes_where_a_hot_machine_is_used_most_per_byte():
    busy, quiet = pool(hot=1, cold=0, rate=9), pool(hot=1, cold=0, rate=1)
    asleep, up = machine(busy, Stage.COLD), machine(quiet)
    tight = Room(memory_mib=50, machines=100, disk=True)
    assert done(plan([quiet, busy], [asleep, up], tight)) == [
        (Do.REMOVE, up.id),
        (Do.HEAT, asleep.id),
    ]
    asleep, up = machine(quiet, Stage.COLD), machine(busy)
    assert plan([quiet, busy], [asleep, up], tight) == []


def test_many_small_machines_are_worth_more_than_a_large_one_that_is_used_a_little_more():
    small, large = pool(hot=1, cold=0, rate=9), pool(hot=1, cold=0, rate=10, memory_mib=1000)
    asleep, up = machine(small, Stage.COLD), machine(large)
    tight = Room(memory_mib=50, machines=100, disk=True)
    assert done(plan([large, small], [asleep, up], tight)) == [
        (Do.REMOVE, up.id),
        (Do.HEAT, asleep.id),
    ]


def test_sessions_that_took_more_memory_get_it_from_the_least_used():
    busy, quiet = pool(hot=1, cold=0, rate=9), pool(hot=1, cold=0, rate=1)
    first, last = machine(busy), machine(quiet)
    short = Room(memory_mib=-150, machines=1, disk=False)
    assert done(plan([busy, quiet], [first, last], short)) == [
        (Do.REMOVE, last.id),
        (Do.REMOVE, first.id),
    ]


def test_nothing_is_heated_past_the_places_and_nothing_cloned_onto_a_full_disk():
    one = pool(hot=2, cold=0)
    cold = [machine(one, Stage.COLD) for _ in range(2)]
    places = Room(memory_mib=10_000, machines=1, disk=True)
    assert len(plan([one], cold, places)) == 1
    assert plan([one], [], Room(memory_mib=10_000, machines=9, disk=False)) == []


def test_a_plan_is_bounded():
    one = pool(hot=0, cold=10 * ACTIONS_MAX)
    assert len(plan([one], [], ROOMY)) == ACTIONS_MAX


@pytest.mark.parametrize(
    ("memory_mib", "machines", "disk", "said"),
    [
        (300, 1, True, None),
        (300, 0, True, "one place kept for a session"),
        (299, 1, True, "memory left for machines is less than one takes"),
        (-1, 1, True, "memory left for machines is less than one takes"),
        (300, 1, False, "the disk is nearly full"),
        (0, 0, False, "the disk is nearly full"),
    ],
)
def test_what_the_host_lacks_for_a_pool_is_said(memory_mib, machines, disk, said):
    lacking = lacks(Room(memory_mib=memory_mib, machines=machines, disk=disk), 300)
    assert said in lacking if said and lacking else lacking is said


@dataclass
class Host:
    """A host on which everything that is planned works."""

    pools: list[Pool]
    memory_mib: int
    places: int
    waiting: dict[UUID, Waiting] = field(default_factory=dict)

    def room(self) -> Room:
        by_template = {
            template_id: one
            for one in self.pools
            for template_id in (one.template_id, *one.retired)
        }
        hot = [one for one in self.waiting.values() if one.stage is Stage.HOT]
        taken = sum(by_template[one.template_id].memory_mib for one in hot)
        return Room(memory_mib=self.memory_mib - taken, machines=self.places - len(hot), disk=True)

    def plan(self) -> list[Action]:
        return plan(self.pools, self.waiting.values(), self.room())

    def act(self, actions: list[Action]) -> None:
        for action in actions:
            if action.do is Do.REMOVE:
                del self.waiting[action.subject]
            elif action.do is Do.HEAT:
                old = self.waiting.pop(action.subject)
                made = machine(old.template_id)
                self.waiting[made.id] = made
            else:
                made = machine(action.subject, Stage.COLD)
                self.waiting[made.id] = made


POOLS = st.builds(
    pool,
    hot=st.integers(0, 5),
    cold=st.integers(0, 5),
    rate=st.floats(0, 50),
    memory_mib=st.integers(1, 500),
)


@given(st.lists(POOLS, max_size=6), st.integers(0, 3000), st.integers(0, 12))
def test_planning_ends_and_never_takes_more_than_there_is(pools, memory_mib, places):
    host = Host(pools, memory_mib, places)
    for _ in range(40):
        actions = host.plan()
        if not actions:
            break
        host.act(actions)
        room = host.room()
        assert room.memory_mib >= 0
        assert room.machines >= 0
    else:
        raise AssertionError(f"it never ends: {actions}")
    for one in pools:
        mine = [each for each in host.waiting.values() if each.template_id == one.template_id]
        hot = sum(each.stage is Stage.HOT for each in mine)
        assert hot <= one.hot
        assert len(mine) >= one.hot + one.cold - (0 if room_for(host, one) else one.hot)


def room_for(host: Host, one: Pool) -> bool:
    room = host.room()
    return room.memory_mib >= one.memory_mib and room.machines >= 1


@given(st.lists(POOLS, min_size=1, max_size=4), st.integers(0, 2000), st.data())
def test_memory_that_sessions_take_is_given_up_by_what_is_hot(pools, memory_mib, data):
    host = Host(pools, memory_mib, 10)
    for _ in range(12):
        host.act(host.plan())
        assert host.room().memory_mib >= 0 or not hot_of(host)
        claimed = data.draw(st.sampled_from([None, *host.waiting]))
        if claimed is not None:
            taken = host.waiting.pop(claimed)
            by_template = {one.template_id: one for one in pools}
            host.memory_mib -= 2 * by_template[taken.template_id].memory_mib
            host.places -= 1


def hot_of(host: Host) -> list[Waiting]:
    return [one for one in host.waiting.values() if one.stage is Stage.HOT]


def after_a_rebuild(host: Host, one: Pool, *, hot: int, cold: int) -> Pool:
    """The pool as its new template makes it: machines of the old one wait."""
    assert one.template_id is not None
    stages = [Stage.HOT] * hot + [Stage.COLD] * cold
    for old in [machine(one.template_id, stage) for stage in stages]:
        host.waiting[old.id] = old
    return dataclasses.replace(one, template_id=uuid4(), retired=frozenset({one.template_id}))


@given(
    st.lists(st.tuples(POOLS, st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=4),
    st.integers(0, 3000),
    st.integers(0, 12),
)
def test_a_new_template_takes_over_on_any_host_and_nothing_of_the_old_one_stays(
    rebuilt, memory_mib, places
):
    host = Host([], memory_mib, places)
    host.pools = [after_a_rebuild(host, one, hot=hot, cold=cold) for one, hot, cold in rebuilt]
    for _ in range(60):
        actions = host.plan()
        if not actions:
            break
        host.act(actions)
    else:
        raise AssertionError(f"it never ends: {actions}")
    assert host.room().memory_mib >= 0 or not hot_of(host)
    for one in host.pools:
        old = [each for each in host.waiting.values() if each.template_id in one.retired]
        new = [each for each in host.waiting.values() if each.template_id == one.template_id]
        up = [each for each in old if each.stage is Stage.HOT]
        is_filled = sum(each.stage is Stage.HOT for each in new) >= one.hot
        assert not old or not is_filled or len(new) < one.hot + one.cold
        # It stays up only where one of the new template would find no place without it either.
        assert not up or is_filled or host.room().machines + len(up) < 1


@given(POOLS, st.integers(0, 5), st.integers(0, 5))
def test_where_there_is_room_no_claim_finds_less_while_a_new_template_takes_over(one, hot, cold):
    host = Host([], 100_000, 100)
    host.pools = [after_a_rebuild(host, one, hot=hot, cold=cold)]
    least = min(hot, one.hot)
    for _ in range(60):
        actions = host.plan()
        for action in actions:
            host.act([action])
            assert len(hot_of(host)) >= least
        if not actions:
            break
    assert {each.template_id for each in host.waiting.values()} <= {host.pools[0].template_id}
