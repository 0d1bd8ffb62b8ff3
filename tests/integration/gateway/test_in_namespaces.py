"""The gateway in real network slots: what is reached there, and that nothing is reached past it."""

from tests.support.gateway_world import (
    POLICY,
    PYTHON_ASK,
    PYTHON_GET,
    PYTHON_LOOK,
    PYTHON_TALK,
    WORLD,
    World,
    attached,
)
from tests.support.guest_network import guest
from vmpool.network.slots import Slots, namespace


async def test_what_is_allowed_is_reached_in_every_way(world: World, slots: Slots) -> None:
    where = await attached(world, slots, 1)
    with guest(where) as inside:
        by_name = await inside.python(PYTHON_GET, "http://pkg.test/x")
        by_proxy = await inside.run(
            *("env", "http_proxy=http://172.16.0.1:8080", "python3", "-I", "-c"),
            *(PYTHON_GET, "http://a.wild.test/x"),
        )
        database = await inside.python(PYTHON_TALK, "db.test", "5432", "select")
        git = await inside.python(PYTHON_TALK, "git.test", "22", "SSH-2.0-x")
        page = await inside.python(PYTHON_GET, "http://gateway.ona/denied")
    assert by_name == "93.184.215.14:80 Host: pkg.test"
    assert by_proxy == (0, "93.184.215.14:80 Host: a.wild.test\n")
    assert database == "b'10.77.0.5:5432 select'"
    assert git == "b'93.184.215.14:22 SSH-2.0-x'"
    assert page == "Nothing was refused lately."


FORBIDDEN_ADDRESSES = [
    *WORLD,
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "172.16.0.3",
    "198.18.200.1",
]


async def test_no_address_is_reached_past_the_gateway(world: World, slots: Slots) -> None:
    where = await attached(world, slots, 1)
    with guest(where) as inside:
        answers = {
            (address, port): await inside.python(PYTHON_TALK, address, str(port), "GET / HTTP/1.0")
            for address in FORBIDDEN_ADDRESSES
            for port in (80, 443)
        }
        passing = await inside.python(PYTHON_TALK, "172.16.0.1", "8081", "x")
        ssh = await inside.python(PYTHON_TALK, "172.16.0.1", "22", "x")
    for where_to, said in answers.items():
        assert said in {"b''", "ConnectionRefusedError [Errno 111] Connection refused"} or (
            "Errno" in said
        ), (where_to, said)
    assert "Errno" in passing
    assert "Errno" in ssh
    assert world.visitors() == []


async def test_names_that_lead_inside_are_refused(world: World, slots: Slots) -> None:
    where = await attached(world, slots, 1)
    with guest(where) as inside:
        private = await inside.python(PYTHON_GET, "http://inside.test/")
        metadata = await inside.python(PYTHON_GET, "http://meta.test/latest/")
        by_proxy = await inside.python(
            PYTHON_TALK,
            "172.16.0.1",
            "8080",
            r"CONNECT 0xa9fea9fe:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        )
        page = await inside.python(PYTHON_GET, "http://gateway.ona/denied")
    assert private.startswith("HTTPError 403 ")
    assert "inside.test:80 is at 10.77.0.1, and that is a private address" in private
    assert "HTTP/1.1 403 " in by_proxy
    assert "meta.test:80 is at 169.254.169.254, and that is a cloud's metadata address" in page
    assert "inside.test:80 is at 10.77.0.1, and that is a private address" in page
    assert "and that is a cloud's metadata address" in metadata
    assert world.visitors() == []


async def test_the_resolver_knows_allowed_names_and_asks_nobody(world: World, slots: Slots) -> None:
    where = await attached(world, slots, 1)
    with guest(where) as inside:
        names = ["pkg.test", "db.test", "x.wild.test", "gateway.ona"]
        refused = ["no.test", "bad.wild.test", "wild.test", "secret-in-a-name.evil.test"]
        said = await inside.python(PYTHON_LOOK, *names, *refused)
        again = await inside.python(PYTHON_LOOK, *names)
        elsewhere = await inside.python(PYTHON_ASK, "pkg.test", "192.0.2.53")
        here = await inside.python(PYTHON_ASK, "secret.evil.test", "172.16.0.1")
    lines = dict(line.split(" ", 1) for line in said.splitlines())
    addresses = [lines[name] for name in names]
    assert len(set(addresses)) == 4
    assert all(each.startswith("['198.18.") for each in addresses[:3])
    assert lines["gateway.ona"] == "['172.16.0.1']"
    assert {lines[name] for name in refused} == {"none"}
    assert again.splitlines() == said.splitlines()[:4]
    assert (elsewhere, here) == ("silence", "3")
    assert await world.tell(do="asked") == []


async def test_an_address_holds_in_another_slot_and_after_a_restart(
    world: World, slots: Slots
) -> None:
    """As a machine does that slept: it wakes elsewhere, with the addresses in its memory."""
    where = await attached(world, slots, 1)
    with guest(where) as inside:
        said = await inside.python(PYTHON_LOOK, "pkg.test", "db.test")
    await world.tell(do="detach", machine=1)
    await world.tell(do="restart")
    other = await attached(world, slots, 1)  # the slot is the one it took
    await slots.release("m1")
    await world.tell(do="detach", machine=1)
    await slots.take("m0")
    elsewhere = await attached(world, slots, 1)
    assert other == where
    assert elsewhere != where
    address = said.splitlines()[1].split("'")[1]
    with guest(elsewhere) as inside:
        database = await inside.python(PYTHON_TALK, address, "5432", "again")
        other_port = await inside.python(PYTHON_TALK, address, "22", "x")
    assert database == "b'10.77.0.5:5432 again'"
    assert "Errno" in other_port or other_port == "b''"


async def test_two_machines_have_nothing_of_each_other(world: World, slots: Slots) -> None:
    one, other = await attached(world, slots, 1), namespace(await slots.take("m2"))
    words = {**POLICY, "rules": ["only.test"], "services": [], "addresses": []}
    words["zone"] = {"only.test": ["93.184.215.14"]}
    await world.tell(do="attach", where=str(other), machine=2, **words)
    with guest(one) as first, guest(other) as second:
        assert "none" in await first.python(PYTHON_LOOK, "only.test")
        said = await first.python(PYTHON_LOOK, "pkg.test")
        address = said.split("'")[1]
        assert "none" in await second.python(PYTHON_LOOK, "pkg.test")
        assert "93.184.215.14" in await first.python(
            PYTHON_TALK, address, "80", r"GET / HTTP/1.1\r\nHost: pkg.test\r\n\r\n"
        )
        denied = await second.python(
            PYTHON_TALK, address, "80", r"GET / HTTP/1.1\r\nHost: pkg.test\r\n\r\n"
        )
        own = await second.python(PYTHON_GET, "http://only.test/")
        page = await second.python(PYTHON_GET, "http://gateway.ona/denied")
    assert "93.184.215.14" not in denied
    assert own == "93.184.215.14:80 Host: only.test"
    assert "pkg.test" in page  # it asked for it
    assert "only.test" not in page
