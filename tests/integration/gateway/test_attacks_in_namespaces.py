"""What a machine might try against the gateway, from a slot and with the world's real addresses.

Whatever must not be reached would answer, and notes who comes: see `tests.support.gateway_world`.
"""

import subprocess

import pytest

from tests.integration.gateway.test_trickery import METADATA, ODD_TARGETS, SMUGGLED
from tests.support.gateway_world import (
    OWN,
    POLICY,
    PYTHON_GET,
    PYTHON_LOOK,
    PYTHON_TALK,
    PYTHON_TLS,
    SIX,
    World,
    attached,
)
from tests.support.guest_network import CARD, Guest, guest
from vmpool.network.slot import HOST_ADDRESS, PROXY_PORT, TAP
from vmpool.network.slots import Slots, namespace

ALLOWED, DENIED = "93.184.215.14", "93.184.215.15"


async def say(
    inside: Guest, words: str, address: str = HOST_ADDRESS, port: int = PROXY_PORT
) -> str:
    """What is answered to these bytes, by the proxy unless another place is named."""
    escaped = words.encode("unicode_escape").decode()
    return await inside.python(PYTHON_TALK, address, str(port), escaped)


async def by_proxy(inside: Guest, url: str) -> str:
    """What a client gets that goes through the proxy, and wherever it is sent on to."""
    proxy = f"http_proxy=http://{HOST_ADDRESS}:{PROXY_PORT}"
    _, said = await inside.run("env", proxy, "python3", "-I", "-S", "-c", PYTHON_GET, url)
    return said.strip()


ELSEWHERE = [
    "http://no.test/x",
    "http://bad.wild.test/x",
    "http://inside.test/x",
    "http://meta.test/latest/",
    f"http://{DENIED}/x",
    "http://169.254.169.254/latest/",
    f"http://[{SIX}]/x",
]


async def test_a_redirect_is_followed_to_no_host_that_is_denied(world: World, slots: Slots) -> None:
    where = await attached(world, slots, 1)
    with guest(where) as inside:
        direct = {
            place: await inside.python(PYTHON_GET, f"http://pkg.test/moved?{place}")
            for place in ELSEWHERE
        }
        proxied = {
            place: await by_proxy(inside, f"http://pkg.test/moved?{place}") for place in ELSEWHERE
        }
        allowed = await by_proxy(inside, "http://pkg.test/moved?http://a.wild.test/")
    assert allowed == f"{ALLOWED}:80 Host: a.wild.test"
    for place, said in direct.items():
        assert said.startswith(("URLError", "HTTPError 403")), (place, said)
    for place, said in proxied.items():
        assert said.startswith("HTTPError 403"), (place, said)
    assert set(world.visitors()) == {f"{ALLOWED}:80"}
    assert len(world.visitors()) == 2 * len(ELSEWHERE) + 2


async def test_a_name_that_changes_between_check_and_use_leads_nowhere_else(
    world: World, slots: Slots
) -> None:
    """It is allowed, and its addresses are in turn one that is and one that is not."""
    where = await attached(world, slots, 1)
    ask = "GET {} HTTP/1.1\r\nHost: rebound.test\r\nConnection: close\r\n\r\n"
    tunnel = f"CONNECT rebound.test:80 HTTP/1.1\r\nHost: x\r\n\r\n{ask.format('/')}"
    places = len(POLICY["zone"]["rebound.test"])
    with guest(where) as inside:
        address = (await inside.python(PYTHON_LOOK, "rebound.test")).split("'")[1]
        said = []
        for _ in range(places):
            said.append(await say(inside, ask.format("http://rebound.test/")))
            said.append(await say(inside, ask.format("/"), address, 80))
            said.append(await say(inside, tunnel))
        page = await inside.python(PYTHON_GET, "http://gateway.ona/denied")
    assert set(world.visitors()) == {f"{ALLOWED}:80"}
    assert len([one for one in said if f"{ALLOWED}:80 Host: rebound.test" in one]) >= places
    assert len([one for one in said if "403" in one]) >= places
    for forbidden in (OWN, "10.77.0.1", "169.254.169.254"):
        assert f"rebound.test:80 is at {forbidden}, and that is" in page


@pytest.mark.parametrize("port", [22, 25, 53, 5432, 8080])
async def test_nothing_but_the_web_is_connected_to(world: World, slots: Slots, port: int) -> None:
    where = await attached(world, slots, 1)
    with guest(where) as inside:
        for host in ("pkg.test", "a.wild.test", ALLOWED, "inside.test", "gateway.ona"):
            said = await say(inside, f"CONNECT {host}:{port} HTTP/1.1\r\nHost: x\r\n\r\nSSH-2.0-x")
            assert "HTTP/1.1 403 " in said, (host, said)
        addresses = await inside.python(PYTHON_LOOK, "pkg.test", "git.test")
        for line in addresses.splitlines():
            if (line.split()[0], port) != ("git.test", 22):
                direct = await say(inside, "SSH-2.0-x", line.split("'")[1], port)
                assert ALLOWED not in direct
        assert world.visitors() == []
        service = await say(inside, "CONNECT git.test:22 HTTP/1.1\r\nHost: x\r\n\r\nSSH-2.0-x")
    assert f"{ALLOWED}:22 SSH-2.0-x" in service


SECOND = "GET http://no.test/evil HTTP/1.1\r\nHost: no.test\r\n\r\n"


async def test_no_second_request_is_smuggled_in_a_first(world: World, slots: Slots) -> None:
    where = await attached(world, slots, 1)
    heads = {
        "by proxy": "POST http://pkg.test/ HTTP/1.1\r\nHost: pkg.test\r\n",
        "by tunnel": "CONNECT pkg.test:80 HTTP/1.1\r\nHost: x\r\n\r\n"
        "POST / HTTP/1.1\r\nHost: pkg.test\r\n",
    }
    as_body = f"Content-Length: {len(SECOND)}\r\nConnection: close\r\n\r\n{SECOND}"
    with guest(where) as inside:
        for way, head in heads.items():
            for kind, rest in SMUGGLED.items():
                said = await say(inside, f"{head}{rest}")
                assert "HTTP/1.1 400 " in said or "HTTP/1.1 501 " in said, (way, kind, said)
                assert "200 OK" not in said, (way, kind)
        assert all(said == "" or said.endswith("\r\n\r\n") for said in world.said())
        assert "evil" not in "".join(world.said())
        body = await say(inside, f"{heads['by proxy']}{as_body}")
        after = await say(inside, f"{heads['by proxy']}Content-Length: 0\r\n\r\n{SECOND}")
    assert f"{ALLOWED}:80 Host: pkg.test" in body
    assert f"{ALLOWED}:80 Host: pkg.test" in after
    assert "HTTP/1.1 403 no.test:80 is not allowed" in after
    assert {one.split(":")[0] for one in world.visitors()} == {ALLOWED}
    assert len([one for one in world.said() if "evil" in one]) == 1, "as the body of the first"


async def test_what_a_request_is_for_is_read_in_one_way(world: World, slots: Slots) -> None:
    """An absolute address in one place, and another host in the other."""
    where = await attached(world, slots, 1)
    end = "Connection: close\r\n\r\n"
    tunnel = "CONNECT pkg.test:80 HTTP/1.1\r\nHost: no.test\r\n\r\n"
    with guest(where) as inside:
        address = (await inside.python(PYTHON_LOOK, "pkg.test")).split("'")[1]
        other_inside = f"GET http://no.test/ HTTP/1.1\r\nHost: pkg.test\r\n{end}"
        refused = {
            "proxy": await say(inside, other_inside),
            "web": await say(inside, other_inside, port=80),
            "address": await say(inside, other_inside, address, 80),
            "address, by host": await say(
                inside, f"GET / HTTP/1.1\r\nHost: no.test\r\n{end}", address, 80
            ),
            "tunnel": await say(inside, f"{tunnel}{other_inside}"),
            "tunnel, by host": await say(
                inside, f"{tunnel}GET / HTTP/1.1\r\nHost: no.test\r\n{end}"
            ),
            **{
                target: await say(inside, f"GET {target} HTTP/1.1\r\nHost: no.test\r\n{end}")
                for target in ODD_TARGETS
            },
        }
        allowed = await say(inside, f"GET http://pkg.test/ HTTP/1.1\r\nHost: no.test\r\n{end}")
    for way, said in refused.items():
        assert any(f"HTTP/1.1 {status} " in said for status in (400, 403, 421)), (way, said)
    assert f"{ALLOWED}:80 Host: pkg.test" in allowed
    assert set(world.visitors()) <= {f"{ALLOWED}:80"}
    assert [said for said in world.said() if said] == [
        "GET / HTTP/1.1\r\nhost: pkg.test\r\n\r\n"
    ], "what was refused reached nobody"


async def test_another_name_in_tls_goes_nowhere(world: World, slots: Slots) -> None:
    where = await attached(world, slots, 1)
    with guest(where) as inside:
        address = (await inside.python(PYTHON_LOOK, "pkg.test")).split("'")[1]
        ways = {
            "tunnel": (HOST_ADDRESS, str(PROXY_PORT), "pkg.test:443"),
            "address": (address, "443", ""),
        }
        for way, place in ways.items():
            for name in ("no.test", "a.wild.test", "meta.test", ""):
                said = await inside.python(PYTHON_TLS, *place, name)
                assert "ACCESS_DENIED" in said, (way, name, said)
        for name in ("no.test", "bad.wild.test", "inside.test", "meta.test", ""):
            said = await inside.python(PYTHON_TLS, HOST_ADDRESS, "443", "", name)
            assert "ACCESS_DENIED" in said or "EOF" in said, (name, said)
        assert "".join(world.said()) == ""
        own = [await inside.python(PYTHON_TLS, *place, "pkg.test") for place in ways.values()]
    assert all("WRONG_VERSION_NUMBER" in said for said in own), "the world speaks no TLS"
    assert ["pkg.test" in said for said in world.said() if said] == [True, True]
    assert set(world.visitors()) == {f"{ALLOWED}:443"}


async def test_the_metadata_service_is_not_reached_by_any_spelling(
    world: World, slots: Slots
) -> None:
    """Not even where the policy allows every address there is."""
    where = namespace(await slots.take("m1"))
    words = {**POLICY, "addresses": ["0.0.0.0/0", "::/0"]}
    await world.tell(do="attach", where=str(where), machine=1, **words)
    with guest(where) as inside:
        for host in METADATA:
            for ask in (f"CONNECT {host}:80", f"GET http://{host}/latest/"):
                said = await say(inside, f"{ask} HTTP/1.1\r\nHost: x\r\n\r\n")
                assert "HTTP/1.1 403 " in said, (ask, said)
                assert "a cloud's metadata address" in said
        assert world.visitors() == []
        other = await say(inside, f"GET http://{DENIED}/ HTTP/1.1\r\nHost: x\r\n\r\n")
    assert f"{DENIED}:80" in other


UPLINK = "uplink"
GUEST_SIX, SLOT_SIX = "fd77::2", "fd77::1"
OPENED = {
    "rules": "nft flush ruleset",
    "settings": f"for each in all default {TAP}; do"
    " echo 0 > /proc/sys/net/ipv6/conf/$each/disable_ipv6; done",
}
"""Either is enough to keep IPv6 closed; how each is undone in a slot."""


def lead_out(where: str, inside: Guest, world: World, *opened: str) -> None:
    """Wire a slot to the world by IPv6, as far as what closes it there permits."""
    script = "\n".join(
        [
            *(OPENED[one] for one in opened),
            f"ip link add {UPLINK} type veth peer name {UPLINK} netns {world.outside}",
            f"ip link set {UPLINK} up",
            f"ip addr add {SLOT_SIX}/64 dev {TAP} nodad",
            f"ip addr add fd78::1/64 dev {UPLINK} nodad",
            f"ip route add {SIX} via fd78::2 dev {UPLINK}",
            "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
        ]
    )
    far = f"""set -eu
ip link set {UPLINK} up
ip addr add fd78::2/64 dev {UPLINK} nodad
ip route add fd77::/64 via fd78::1 dev {UPLINK}
"""
    near = f"""set -eu
ip addr add {GUEST_SIX}/64 dev {CARD} nodad
ip route add default via {SLOT_SIX} dev {CARD}
"""
    for name, lines in ((where, script), (world.outside, far), (inside.name, near)):
        subprocess.run(["ip", "netns", "exec", name, "sh", "-c", lines], check=name != where)


@pytest.mark.parametrize("opened", [(), ("rules",), ("settings",), ("rules", "settings")])
async def test_ipv6_is_closed_twice(world: World, slots: Slots, opened: tuple[str, ...]) -> None:
    where = await attached(world, slots, 1)
    with guest(where) as inside:
        lead_out(where.name, inside, world, *opened)
        said = await say(inside, "GET / HTTP/1.1\r\n\r\n", SIX, 80)
    if len(opened) < len(OPENED):
        assert "Error" in said
        assert world.visitors() == []
    else:
        assert f"{SIX}:80" in said, "were it not for these two it would be reached"


async def test_the_gateway_goes_on_by_ipv6_and_to_no_raw_address(
    world: World, slots: Slots
) -> None:
    where = await attached(world, slots, 1)
    with guest(where) as inside:
        for ask in (f"CONNECT [{SIX}]:443", f"CONNECT [{SIX}]:80", f"GET http://[{SIX}]/"):
            said = await say(inside, f"{ask} HTTP/1.1\r\nHost: x\r\n\r\n")
            assert "HTTP/1.1 403 " in said
        assert world.visitors() == []
        named = await by_proxy(inside, "http://six.test/")
        addresses = await inside.python(PYTHON_LOOK, "six.test")
    assert named == f"{SIX}:80 Host: six.test"
    assert "['198.18." in addresses, "the machine itself is told an IPv4 address"
