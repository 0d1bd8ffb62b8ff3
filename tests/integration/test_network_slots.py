"""Network slots of the real kernel: what a guest reaches from one, and what is left of them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog.testing

from tests.contracts.rigs import fake_cloud_hypervisor
from tests.support.wire import Wire, wire
from vmpool.drivers.isolation import Isolation
from vmpool.drivers.local import LocalDriver
from vmpool.network import slot
from vmpool.network.namespace import inside
from vmpool.network.slots import NoSlot, Slots, _script, missing, namespace

HOST = slot.HOST_ADDRESS


@pytest.fixture
async def slots(tmp_path: Path) -> AsyncIterator[Slots]:
    if why := missing():
        pytest.skip(f"!!! NOT TESTED: {why}")
    made = Slots(tmp_path, count_max=3)
    try:
        yield made
    finally:
        await Slots(tmp_path, count_max=3).open({})


def ours(slots: Slots) -> set[str]:
    return {name for name in slots._found() if slot.slot_number(slots._owner, name) is not None}


@contextmanager
def listening(name: str, port: int, address: str = "0.0.0.0") -> Iterator[socket.socket]:
    """Somebody who serves in a slot, as the gateway will."""

    def serve() -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen()
        return sock

    sock = inside(namespace(name), serve)
    try:
        yield sock
    finally:
        sock.close()


async def test_a_guest_reaches_the_gateway_and_nothing_else(slots: Slots) -> None:
    name = await slots.take("m1")
    with wire(namespace(name)) as guest, listening(name, 80), listening(name, 22):
        seen = await asyncio.to_thread(_tried, guest)
    assert seen == {
        "the gateway": "accepted",
        "a port of it where nobody listens": "reset",
        "another service in the slot": "reset",
        "an address in the world": "reset",
        "metadata": "reset",
        "the host's network": "reset",
        "another machine": "reset",
        "a false source": "silence",
        "DNS elsewhere": "silence",
        "UDP": "silence",
        "ping": "silence",
    }


def _tried(guest: Wire) -> dict[str, str]:
    return {
        "the gateway": guest.connects(HOST, 80),
        "a port of it where nobody listens": guest.connects(HOST, 443),
        "another service in the slot": guest.connects(HOST, 22),
        "an address in the world": guest.connects("192.0.2.1", 443),
        "metadata": guest.connects("169.254.169.254", 80),
        "the host's network": guest.connects("10.0.0.1", 22),
        "another machine": guest.connects("172.16.0.3", 80),
        "a false source": guest.connects(HOST, 80, source="172.16.0.9"),
        "DNS elsewhere": guest.asks("192.0.2.53", 53),
        "UDP": guest.asks(HOST, 123),
        "ping": guest.pings(HOST),
    }


async def test_a_slot_has_one_device_and_no_way_on(slots: Slots) -> None:
    name = await slots.take("m1")
    links = await _said(name, "ip", "-o", "link")
    assert sorted(line.split(": ")[1] for line in links) == ["lo", slot.TAP]
    assert any("link/ether 02:00:00:00:00:01" in line for line in links)
    assert await _said(name, "ip", "route") == [
        "172.16.0.0/30 dev tap0 proto kernel scope link src 172.16.0.1 linkdown "
    ]
    assert await _said(name, "cat", "/proc/sys/net/ipv4/ip_forward") == ["0"]


async def _said(name: str, *command: str) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        *("ip", "netns", "exec", name), *command, stdout=asyncio.subprocess.PIPE
    )
    words, _ = await process.communicate()
    return words.decode().splitlines()


async def test_slots_are_made_before_they_are_needed_and_no_more_than_allowed(
    slots: Slots,
) -> None:
    assert await slots.prepare(2) == 2
    assert await slots.prepare(2) == 0
    taken = [await slots.take(machine) for machine in ("m1", "m2", "m3")]
    assert len(set(taken)) == 3
    assert await slots.take("m2") == taken[1]
    with pytest.raises(NoSlot, match="all 3"):
        await slots.take("m4")
    assert await slots.prepare(1) == 0


async def test_a_slot_is_clean_when_the_next_one_gets_it(slots: Slots) -> None:
    name = await slots.take("m1")
    await _said(name, "ip", "link", "add", "left", "type", "dummy")
    await _said(name, "nft", "flush", "ruleset")
    await slots.release("m1")
    await slots.release("m1")
    assert await slots.take("m2") == name
    assert not any("left" in line for line in await _said(name, "ip", "-o", "link"))
    assert any(
        "reject with tcp reset" in line for line in await _said(name, "nft", "list", "ruleset")
    )


async def test_what_an_earlier_process_left_is_taken_over_or_removed(
    slots: Slots, tmp_path: Path
) -> None:
    await slots.prepare(3)
    kept = await slots.take("m1")
    await slots.take("m2")
    again = Slots(tmp_path, count_max=3)
    await again.open({"m1": kept})
    assert ours(again) == {kept}
    assert await again.take("m1") == kept
    assert await again.take("m3") != kept
    assert set(again.taken()) == {"m1", "m3"}
    await again.release("m1")
    await again.close()
    assert len(ours(again)) == 1


@contextmanager
def undeletable(name: str) -> Iterator[None]:
    """What `ip` refuses to delete: it would have to unlink a directory."""
    namespace(name).mkdir(parents=True)
    try:
        yield
    finally:
        namespace(name).rmdir()


async def test_a_namespace_that_can_not_be_deleted_stands_aside_until_it_can(
    slots: Slots, tmp_path: Path
) -> None:
    kept = await slots.take("m1")
    stuck, left = (slot.slot_name(slots._owner, number) for number in (1, 2))
    await _on_host("ip", "netns", "add", left)
    again = Slots(tmp_path, count_max=3)
    with undeletable(stuck):
        with structlog.testing.capture_logs() as said:
            await again.open({"m1": kept})
        assert [line["slot"] for line in said] == [stuck]
        assert "could not be removed" in said[0]["error"]
        assert ours(again) == {kept, stuck}
        # Nobody gets it, and everybody else gets one.
        assert await again.take("m2") == left
        with pytest.raises(NoSlot, match="all 3"):
            await again.take("m3")
    namespace(stuck).touch()
    await again.sweep()
    assert ours(again) == {kept, left}
    assert await again.take("m3") == stuck


async def test_a_slot_that_can_not_be_deleted_is_given_back_all_the_same(slots: Slots) -> None:
    stuck = await slots.take("m1")
    await _on_host("ip", "netns", "delete", stuck)
    with undeletable(stuck):
        await slots.release("m1")
        assert await slots.take("m1") != stuck
    await slots.release("m1")
    assert ours(slots) == set()


async def test_a_host_starts_though_a_namespace_of_before_can_not_be_deleted(
    tmp_path: Path,
) -> None:
    if why := missing():
        pytest.skip(f"!!! NOT TESTED: {why}")
    slots = Slots(tmp_path, count_max=3)
    driver = LocalDriver(tmp_path, fake_cloud_hypervisor(tmp_path), isolation=Isolation(slots))
    stuck = slot.slot_name(slots._owner, 0)
    with undeletable(stuck):
        assert await driver.find() == []
        assert await driver.find() == []
        assert ours(slots) == {stuck}
    namespace(stuck).touch()
    await driver.find()
    assert ours(slots) == set()
    await driver.close()


async def _on_host(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0


async def test_many_at_once_get_a_slot_each(slots: Slots) -> None:
    taken = await asyncio.gather(*(slots.take(f"m{number}") for number in range(3)))
    assert len(set(taken)) == 3
    await asyncio.gather(*(slots.release(f"m{number}") for number in range(3)))
    assert ours(slots) == set()


async def test_another_installation_s_slots_are_left_alone(slots: Slots, tmp_path: Path) -> None:
    name = await slots.take("m1")
    other = Slots(tmp_path / "other", count_max=3)
    await other.open({})
    await other.close()
    assert ours(slots) == {name}


async def test_a_slots_kernel_is_set_as_it_says(slots: Slots) -> None:
    name = await slots.take("m1")
    for path, value in slot.settings().items():
        assert await _said(name, "cat", f"/proc/sys/net/{path}") == [value], path
    assert await _said(name, "ip", "-6", "address") == []


async def test_nobody_in_a_slot_opens_a_connection_to_its_guest(slots: Slots) -> None:
    name = await slots.take("m1")

    def knock() -> None:
        with socket.socket() as sock:
            sock.settimeout(0.5)
            sock.connect((slot.GUEST_ADDRESS, 80))

    with wire(namespace(name)) as guest:
        assert guest.connects(HOST, 443) == "reset"  # its address is known
        knocking = asyncio.create_task(asyncio.to_thread(inside, namespace(name), knock))
        seen = await asyncio.to_thread(guest.hears, 1.0)
        with pytest.raises(OSError, match=r"timed out|not permitted"):
            await knocking
    assert "tcp" not in seen


def test_a_slots_rules_are_loaded_before_its_device_is_up() -> None:
    script = _script(1000)
    rules, device, up = (script.index(words) for words in ("nft -f", "tuntap add", "tap0 up"))
    assert rules < device < up
    assert "policy accept" not in slot.rules()
