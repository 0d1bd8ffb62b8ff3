"""What a guest says about jobs, understood or refused: a machine that talks nonsense is lost."""

import asyncio
import contextlib
import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.flood import nobody_waits_longer_than
from vmpool.errors import MachineError, MachineLost
from vmpool.job_words import NUMBER_MAX, PAYLOAD_BYTES_MAX, header_of, refused_or
from vmpool.jobs import (
    JobConnection,
    JobExit,
    JobOutput,
    JobQuestion,
    JobState,
    output_of,
    question_of,
    status_of,
)

LINE_BYTES_MAX = 2000
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
QUESTION = {"question": "j1.1", "text": "May I?", "choices": ["yes", "no"]}
STATUS = {
    "job": "j1",
    "state": "ended",
    "exit_status": 0,
    "signal": None,
    "failure": None,
    "stopped": False,
    "out_of_memory": False,
    "started_at": 1.5,
    "ended_at": 2,
    "seconds": 0.5,
    "stdout_bytes": 2,
    "stdout_dropped": 0,
    "stderr_bytes": 0,
    "stderr_dropped": 0,
    "input_offset": 0,
    "input_open": False,
    "processes": 0,
    "questions": [QUESTION],
}
FRAMES = (
    {"frame": "output", "stream": "stdout", "offset": 0, "bytes": 2},
    {"frame": "question", **QUESTION},
    {"frame": "exit", "status": STATUS},
    {"error": "unknown_job", "why": "no such job"},
)


def other_than(said: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """The same with a few of its words put otherwise, or left out."""
    spoilt = st.dictionaries(st.sampled_from(sorted(said)), JSON, max_size=2)
    gone = st.sets(st.sampled_from(sorted(said)), max_size=1)
    return st.builds(
        lambda more, less: {k: v for k, v in {**said, **more}.items() if k not in less},
        spoilt,
        gone,
    )


SPOKEN = st.one_of(
    *(other_than(frame) for frame in FRAMES),
    other_than(STATUS).map(lambda status: {"frame": "exit", "status": status}),
    JSON,
).map(lambda said: json.dumps(said).encode() + b"\n")
HEARD = st.lists(SPOKEN | st.binary(max_size=40), max_size=5).map(b"hi".join)


class Silent:
    """A writer into nothing."""

    def write(self, data: bytes) -> None: ...

    async def drain(self) -> None: ...


def connection(heard: bytes) -> JobConnection:
    """One to a guest that has said this and then hung up."""
    reader = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    reader.feed_data(heard)
    reader.feed_eof()
    return JobConnection(reader, Silent())  # type: ignore[arg-type]


async def followed(heard: bytes) -> list[Any]:
    """What came of it before it ended, or was not to be understood."""
    events = []
    with contextlib.suppress(MachineError):
        async for event in connection(heard).follow():
            events.append(event)
    return events


def is_sound(event: Any) -> bool:
    """Whether nothing in it surprises who stores or adds it up."""
    match event:
        case JobOutput(stream=stream, offset=offset):
            return stream in {"stdout", "stderr"} and 0 <= offset <= NUMBER_MAX
        case JobQuestion(text=text, choices=choices):
            "".join([text, *choices]).encode()
            return "\x00" not in "".join([text, *choices])
        case JobExit(status=status):
            json.dumps(asdict(status), allow_nan=False).encode()
            return (
                status.state in JobState
                and status.seconds + status.started_at + (status.ended_at or 0) is not None
                and status.stdout_dropped + status.stderr_dropped >= 0
                and all(is_sound(question) for question in status.questions)
            )
    return False


@given(HEARD)
def test_whatever_a_guest_sends_is_sound_events_and_then_a_machine_s_error(heard):
    assert all(map(is_sound, asyncio.run(followed(heard))))


@given(HEARD)
def test_whatever_a_guest_answers_is_an_answer_or_a_machine_s_error(heard):
    async def asked() -> object:
        return await connection(heard).request("status")

    with contextlib.suppress(MachineError):
        assert isinstance(asyncio.run(asked()), dict)


@given(other_than(STATUS))
def test_a_status_is_sound_or_a_lost_machine(said):
    with contextlib.suppress(MachineLost):
        assert is_sound(JobExit(status=status_of(said)))


def test_what_our_guest_program_says_is_understood():
    status = status_of(STATUS)
    assert (status.id, status.state, status.seconds) == ("j1", JobState.ENDED, 0.5)
    heard = b"".join(
        json.dumps(frame).encode() + b"\n" + b"hi" * ("bytes" in frame) for frame in FRAMES[:3]
    )
    output, question, end = asyncio.run(followed(heard))
    assert output == JobOutput(stream="stdout", offset=0, data=b"hi")
    assert question == JobQuestion(question_id="j1.1", text="May I?", choices=("yes", "no"))
    assert end == JobExit(status=status)


@pytest.mark.parametrize(
    "heard",
    [
        b"not json\n",
        b"[]\n",
        b"\xff\n",
        b"[" * 1999 + b"\n",
        b"x" * (LINE_BYTES_MAX + 1) + b"\n",
        b'{"frame": "exit"}\n',
        b'{"frame": "exit", "status": []}\n',
        b'{"frame": "output", "stream": [], "offset": 0}\n',
        b'{"frame": "question", "question": 1, "text": "", "choices": []}\n',
    ],
)
async def test_nonsense_is_a_lost_machine_that_says_so(heard):
    with pytest.raises(MachineLost, match="not to be understood"):
        async for _ in connection(heard).follow():
            pass


@pytest.mark.parametrize("frame", [{"frame": "x"}, FRAMES[1]])
async def test_a_flood_of_frames_keeps_nobody_else_waiting(frame):
    heard = (json.dumps(frame).encode() + b"\n") * 200_000
    async with nobody_waits_longer_than(0.5):
        async for _ in connection(heard + json.dumps(FRAMES[2]).encode() + b"\n").follow():
            pass


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("exit_status", "0"),
        ("stdout_bytes", -1),
        ("stdout_dropped", None),
        ("processes", 1.5),
        ("seconds", float("nan")),
        ("started_at", 10**400),
        ("stopped", 1),
        ("failure", 7),
        ("state", "asleep"),
        ("questions", {}),
        ("job", None),
    ],
)
def test_a_status_with_a_word_of_another_kind_is_a_lost_machine(name, value):
    with pytest.raises(MachineLost):
        status_of({**STATUS, name: value})


def test_words_that_no_column_takes_are_put_otherwise():
    said = question_of({"question": "q", "text": "a\x00b\ud800", "choices": ["\x00"]})
    assert (said.text, said.choices) == ("a\ufffdb?", ("\ufffd",))


@pytest.mark.parametrize("offset", [-1, "0", None, True, 2**60])
def test_output_has_an_offset_that_can_be_kept(offset):
    with pytest.raises(MachineLost):
        output_of({"stream": "stdout", "offset": offset}, b"")


@given(st.dictionaries(st.sampled_from(["error", "why", "frame"]), JSON))
def test_any_answer_is_one_or_a_refusal(answer):
    with contextlib.suppress(MachineError):
        refused_or(answer)


@pytest.mark.parametrize("size", [-1, PAYLOAD_BYTES_MAX + 1, "x", None, [], 1e400])
def test_a_payload_has_a_size_that_can_be_held(size):
    with pytest.raises(MachineLost, match="not to be understood"):
        header_of(json.dumps({"bytes": size}).encode())
