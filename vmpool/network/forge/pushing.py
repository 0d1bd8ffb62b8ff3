"""What a push asks of a forge, whether its session may, and the answer of one that may not.

    pkt-line*            commands: "<old> <new> <ref>", the first with the client's capabilities
    0000                 flush; then push options if they were agreed on, then the pack

From git's gitprotocol-pack and gitprotocol-http. A session pushes to branches of its own, and there
only on top of what it last saw: who lost its lease meanwhile has seen less, and is refused. It is
all or nothing, and the refusal is git's own, so that the agent reads it after the ref it meant.
Push options are refused too: by them a forge opens, merges and closes what only we may.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

ZERO = "0" * 40
"""No commit: the branch is not there, or is not to be."""
COMMANDS_MAX = 100
LINE_BYTES_MAX = 4 + 65_516
"""Of a pkt-line, its length included."""
HEAD_BYTES_MAX = 256 * 1024
"""Of all commands together."""
REF_BYTES_MAX = 1_000
_BAND_BYTES_MAX = 65_515
_HEX = frozenset("0123456789abcdef")


class Malformed(Exception):
    """It is no push that git would make; says what is wrong."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """One ref that is to be moved."""

    old: str
    """What the client believes to be there."""
    new: str
    ref: str


@dataclass(frozen=True, kw_only=True)
class Push:
    """What stands before the pack."""

    commands: Sequence[Command]
    capabilities: frozenset[str]
    length: int
    """Bytes of the body that say so, flush included."""

    @property
    def has_options(self) -> bool:
        """Whether options follow, `git push -o`; git takes the word with a value for it too."""
        return any(word.partition("=")[0] == "push-options" for word in self.capabilities)


class Branches(Protocol):
    """The branches of one session on one repository."""

    def seen(self, ref: str) -> str | None:
        """The commit that the session last saw there, `ZERO`: none; None: it is not its own."""
        ...

    def protected(self, ref: str) -> bool:
        """Whether nobody but people may move it, whoever's it is: the default branch and such."""
        ...


class PushReader:
    """Reads the commands of a push as they come; each line once, however it is cut.

    Whoever sends thousands of lines, a byte at a time, would keep all others waiting otherwise.
    """

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._at = 0
        self._commands: list[Command] = []
        self._capabilities: frozenset[str] = frozenset()

    def read(self, body: bytes | bytearray) -> Push | None:
        """Read on; None: there is more to come.

        :param body: all that has come, from the beginning
        :raises Malformed: it is none, or too large
        """
        for line, end in _lines(body, self._at):
            self._at = end
            if line is None:
                if not self._commands:
                    raise Malformed("a push without commands")
                return Push(
                    commands=self._commands, capabilities=self._capabilities, length=self._at
                )
            self._line(line)
        if len(body) > HEAD_BYTES_MAX:
            raise Malformed(f"more than {HEAD_BYTES_MAX} bytes of commands")
        return None

    def _line(self, line: bytes) -> None:
        told, mark, rest = line.partition(b"\0")
        if mark:
            if self._commands:
                raise Malformed("capabilities after the first command")
            self._capabilities = frozenset(_text(rest).split())
        if told.startswith(b"shallow "):
            return
        self._commands.append(_command(told))
        if len(self._commands) > COMMANDS_MAX:
            raise Malformed(f"more than {COMMANDS_MAX} refs at once")


def refusals(push: Push, branches: Branches) -> dict[str, str]:
    """Why refs may not be moved, by ref, those that might beside them; empty: all may."""
    found = {one.ref: why for one in push.commands if (why := _refusal(one, branches))}
    if push.has_options:
        found |= {one.ref: "push options are not passed on" for one in push.commands}
    if len({one.ref for one in push.commands}) < len(push.commands):
        found |= {one.ref: "it is named twice" for one in push.commands}
    if not found:
        return {}
    others = "not tried, as another ref is refused"
    return {one.ref: found.get(one.ref, others) for one in push.commands}


def refused(push: Push, why: Mapping[str, str]) -> bytes:
    """The body of the answer: as git itself reports that it did not move these refs."""
    lines = [b"unpack ok\n"]
    lines += [f"ng {ref} {' '.join(words.split())}\n".encode() for ref, words in why.items()]
    if "report-status" not in push.capabilities and "report-status-v2" not in push.capabilities:
        return b""
    report = b"".join(_packet(line) for line in lines) + b"0000"
    if "side-band-64k" not in push.capabilities:
        return report
    bands = range(0, len(report), _BAND_BYTES_MAX)
    return b"".join(_packet(b"\1" + report[at : at + _BAND_BYTES_MAX]) for at in bands) + b"0000"


def moved(push: Push, answer: bytes) -> dict[str, str]:
    """What a forge says that it did move: ref → commit. What can't be read moved nothing."""
    report = b"".join(_band(answer)) if "side-band-64k" in push.capabilities else answer
    wanted = {one.ref: one.new for one in push.commands}
    done: dict[str, str] = {}
    try:
        for line, _ in _lines(report):
            if line is not None and line.startswith(b"ok "):
                ref = _text(line[3:]).rstrip("\n")
                if ref in wanted:
                    done[ref] = wanted[ref]
    except Malformed:
        return done
    return done


def advertised(answer: bytes) -> dict[str, str]:
    """The branches that a forge names, whatever else it says: ref → commit.

    Both forms are read: the one before a fetch, and what is answered to `ls-refs`.
    """
    found: dict[str, str] = {}
    try:
        for line, _ in _lines(answer):
            told = (line or b"").partition(b"\0")[0].split()
            if len(told) > 1 and told[1].startswith(b"refs/heads/"):
                commit = told[0].decode("ascii", "replace")
                if _is_commit(commit):
                    found[told[1].decode("utf-8", "replace")] = commit
    except Malformed:
        return found
    return found


def _refusal(command: Command, branches: Branches) -> str:
    ref = command.ref
    if not ref.startswith("refs/heads/"):
        return "only branches may be pushed here, no tags and nothing else"
    if branches.protected(ref):
        return "this branch is protected; push to a branch of this session, and open a pull request"
    seen = branches.seen(ref)
    if seen is None:
        return "this branch is not one of this session; push to one of its own"
    if command.new == ZERO:
        return "branches are not deleted from here"
    return "" if command.old == seen else _elsewhere(command)


def _elsewhere(command: Command) -> str:
    """Why it is not where the session last saw it, and what to do."""
    if command.old == ZERO:
        return "somebody has deleted this branch; push to another one of this session's"
    return "somebody else has moved this branch since this session last saw it; fetch it first"


def _lines(body: bytes | bytearray, at: int = 0) -> Iterator[tuple[bytes | None, int]]:
    """Each whole pkt-line of a body from a place on, and where it ends; None: a flush."""
    while at + 4 <= len(body):
        try:
            length = int(body[at : at + 4], 16)
        except ValueError as error:
            raise Malformed("no pkt-line") from error
        if length == 0:
            yield None, at + 4
            at += 4
            continue
        if not 4 < length <= LINE_BYTES_MAX:
            raise Malformed(f"a pkt-line of {length} bytes")
        if at + length > len(body):
            return
        yield bytes(body[at + 4 : at + length]), at + length
        at += length


def _band(answer: bytes) -> Iterator[bytes]:
    """What the first side band carries."""
    try:
        for line, _ in _lines(answer):
            if line is not None and line[:1] == b"\1":
                yield line[1:]
    except Malformed:
        return


def _command(line: bytes) -> Command:
    parts = _text(line).rstrip("\n").split(" ", 2)
    if len(parts) != 3:
        raise Malformed("no command of a push")
    old, new, ref = parts
    if not (_is_commit(old) and _is_commit(new)) or old == new:
        raise Malformed("a command whose commits are none")
    if not ref or len(ref.encode()) > REF_BYTES_MAX or any(ord(one) <= 32 for one in ref):
        raise Malformed("a command whose ref is none")
    return Command(old=old, new=new, ref=ref)


def _is_commit(name: str) -> bool:
    return len(name) == len(ZERO) and set(name) <= _HEX


def _text(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise Malformed("it is not UTF-8") from error


def _packet(line: bytes) -> bytes:
    return f"{len(line) + 4:04x}".encode() + line
