"""What a push asks for, whether it may, and how it is told that it may not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.steps import lines_run
from vmpool.network.forge import pushing
from vmpool.network.forge.pushing import (
    ZERO,
    Malformed,
    PushReader,
    moved,
    refusals,
    refused,
)

A, B, C = ("a" * 40, "b" * 40, "c" * 40)
OURS = "refs/heads/ona/s-7f3k"
CAPABILITIES = " report-status-v2 side-band-64k object-format=sha1 agent=git/2.39"


def read(sent):
    return PushReader().read(sent)


class Branches:
    def __init__(self, **seen):
        self._seen = {OURS: A, "refs/heads/ona/new": ZERO, "refs/heads/main": A, **seen}

    def seen(self, ref):
        return self._seen.get(ref)

    def protected(self, ref):
        return ref == "refs/heads/main"


def packet(text):
    line = text.encode() if isinstance(text, str) else text
    return f"{len(line) + 4:04x}".encode() + line


def body(*commands, capabilities=CAPABILITIES, pack=b"PACK..."):
    first, *others = (f"{old} {new} {ref}" for old, new, ref in commands)
    lines = [packet(f"{first}\0{capabilities}"), *map(packet, others)]
    return b"".join(lines) + b"0000" + pack


def test_commands_are_read_and_where_the_pack_begins():
    sent = body((A, B, OURS), (ZERO, C, "refs/heads/ona/new"))
    push = read(sent)
    assert [(one.old, one.new, one.ref) for one in push.commands] == [
        (A, B, OURS),
        (ZERO, C, "refs/heads/ona/new"),
    ]
    assert sent[push.length :] == b"PACK..."
    assert "side-band-64k" in push.capabilities
    assert refusals(push, Branches()) == {}


@given(st.integers(0, 400))
def test_half_of_it_is_waited_for(length):
    sent = body((A, B, OURS), (ZERO, C, "refs/heads/ona/new"), pack=b"")
    cut = sent[:length]
    assert (read(cut) is None) == (len(cut) < len(sent))


def test_lines_that_come_one_by_one_cost_no_more_than_each_its_share():
    lines, line = 1000, packet(f"shallow {C}")

    def drip():
        reader, come = PushReader(), bytearray()
        for _ in range(lines):
            come += line
            assert reader.read(come) is None

    assert lines_run(pushing, drip) < 40 * lines


@given(st.integers(1, 30))
def test_it_is_read_as_it_comes(step):
    sent = packet(f"shallow {C}") + body((A, B, OURS), pack=b"")
    reader = PushReader()
    found = [reader.read(sent[:end]) for end in range(0, len(sent) + step, step)]
    assert set(found[:-1]) == {None}
    assert found[-1] == read(sent)


def test_a_shallow_clone_pushes_too():
    sent = packet(f"shallow {C}") + body((A, B, OURS))
    assert len(read(sent).commands) == 1


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ((A, B, "refs/heads/main"), "is protected"),
        ((A, B, "refs/tags/v1"), "no tags"),
        ((A, B, "refs/pull/1/head"), "only branches"),
        ((A, B, "HEAD"), "only branches"),
        ((A, B, "refs/heads/somebody"), "not one of this session"),
        ((A, B, f"{OURS}/below"), "not one of this session"),
        ((A, B, "refs/heads/ONA/s-7f3k"), "not one of this session"),
        ((A, ZERO, OURS), "not deleted"),
        ((C, B, OURS), "somebody else has moved"),
        ((ZERO, B, OURS), "somebody has deleted this branch"),
        ((A, B, "refs/heads/ona/new"), "somebody else has moved"),
    ],
)
def test_what_may_not_be_pushed_is_said_and_nothing_else_of_it_is(command, words):
    alone = refusals(read(body(command)), Branches())
    assert words in alone[command[2]]
    if command[2] != OURS:
        both = refusals(read(body((A, C, OURS), command)), Branches())
        assert words in both[command[2]]
        assert both[OURS] == "not tried, as another ref is refused"


@pytest.mark.parametrize("word", ["push-options", "push-options=1"])
def test_options_are_refused_with_every_ref(word):
    push = read(body((A, B, OURS), capabilities=f"{CAPABILITIES} {word}"))
    assert refusals(push, Branches()) == {OURS: "push options are not passed on"}


def test_a_ref_that_is_named_twice_is_refused():
    push = read(body((A, B, OURS), (A, C, OURS)))
    assert set(refusals(push, Branches()).values()) == {"it is named twice"}


def test_a_refusal_reads_as_gits_own():
    push = read(body((A, B, "refs/heads/main")))
    said = refused(push, {"refs/heads/main": "it is\nprotected"})
    report = packet("unpack ok\n") + packet("ng refs/heads/main it is protected\n") + b"0000"
    assert said == packet(b"\1" + report) + b"0000"
    bare = read(body((A, B, "refs/heads/main"), capabilities=" report-status"))
    assert refused(bare, {"refs/heads/main": "it is protected"}) == report
    mute = read(body((A, B, "refs/heads/main"), capabilities=""))
    assert refused(mute, {"refs/heads/main": "no"}) == b""


def test_a_long_refusal_takes_several_bands():
    refs = [f"refs/heads/{'x' * 900}{number}" for number in range(90)]
    push = read(body(*((A, B, ref) for ref in refs)))
    said = refused(push, dict.fromkeys(refs, "no"))
    lines = [line for line, _ in pushing._lines(said) if line is not None]
    assert len(lines) == 2
    assert all(line[:1] == b"\1" for line in lines)


def test_what_the_forge_moved_is_read_from_its_answer():
    push = read(body((A, B, OURS), (ZERO, C, "refs/heads/ona/new")))
    report = (
        packet("unpack ok\n")
        + packet(f"ok {OURS}\n")
        + packet("ng refs/heads/ona/new hook declined\n")
        + packet("ok refs/heads/other\n")
        + b"0000"
    )
    banded = (
        packet(b"\2remote: hello\n") + packet(b"\1" + report[:30]) + packet(b"\1" + report[30:])
    )
    assert moved(push, banded + b"0000") == {OURS: B}
    bare = read(body((A, B, OURS), capabilities=" report-status"))
    assert moved(bare, report) == {OURS: B}
    assert moved(bare, b"<html>502</html>") == {}


@pytest.mark.parametrize(
    "sent",
    [
        b"0000PACK",
        b"zzzz",
        b"0003",
        b"fff5" + b"x" * 70_000,
        packet("push-cert\0atomic") + b"0000",
        packet(f"{A} {B}") + b"0000",
        packet(f"{A} {A} {OURS}") + b"0000",
        packet(f"{A[:-1]} {B} {OURS}") + b"0000",
        packet(f"{A.upper()} {B} {OURS}") + b"0000",
        packet(f"{A} {B} refs/heads/a b") + b"0000",
        packet(f"{A} {B} refs/heads/a\nb") + b"0000",
        packet(f"{A} {B} refs/heads/{'x' * 1001}") + b"0000",
        packet(f"{A} {B} ".encode() + b"refs/heads/\xff") + b"0000",
        body((A, B, OURS)).replace(b"0000PACK...", b"") + packet(f"{A} {B} x\0caps") + b"0000",
        b"".join(packet(f"{A} {B} refs/heads/{n}") for n in range(101)) + b"0000",
        packet("shallow x" + "y" * 60_000) * 5,
    ],
)
def test_what_git_would_not_send_is_refused(sent):
    with pytest.raises(Malformed):
        read(sent)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data):
    try:
        read(data)
    except Malformed:
        return
