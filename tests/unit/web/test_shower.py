"""What a page shows of events: speech in one piece, tools where they began, Markdown as such."""

from datetime import UTC, datetime
from itertools import count
from uuid import UUID

from bot.web.reading import StoredEvent
from bot.web.rendering import Shower, Speech, fragment, show_all

TURN = UUID(int=1)


def events(*said: tuple[str, dict], turn: UUID = TURN) -> list[StoredEvent]:
    numbers = count(1)
    at = datetime(2026, 11, 28, tzinfo=UTC)
    return [
        StoredEvent(number=next(numbers), turn=turn, kind=kind, body=body, at=at)
        for kind, body in said
    ]


WORK = events(
    ("thought", {"text": "hm"}),
    ("text", {"text": "I **lo"}),
    ("text", {"text": "ok**. <b>"}),
    ("tool", {"id": "1", "title": "Preparing", "status": "pending"}),
    ("tool", {"id": "1", "title": "make test", "status": "completed"}),
    ("usage", {"context_tokens": 0}),
    ("conversation", {"agent": "a", "id": "c"}),
    ("plan", {"entries": [{"content": "one", "status": "pending"}]}),
    ("text", {"text": "Done."}),
    ("plan", {"entries": [{"content": "one", "status": "completed"}]}),
)


def test_pieces_of_a_speech_are_one_text_and_tools_stay_where_they_began():
    shown = show_all(WORK)
    looks = [one.look if isinstance(one, Speech) else one.line.look for one in shown]
    assert looks == ["thought", "answer", "tool", "tool", "answer"]
    assert shown[2].line.text == "make test"
    assert "completed" in shown[3].line.detail


def test_an_answer_is_shown_as_markdown_and_html_in_it_is_text():
    answer = show_all(WORK)[1]
    assert answer.html == "<p>I <strong>look</strong>. &lt;b&gt;</p>\n"
    page = fragment("_lines.html", shown=show_all(WORK))
    assert "<strong>look</strong>" in page
    assert "<b>" not in page


def test_a_picture_in_an_answer_is_not_fetched_and_no_script_can_be_linked():
    said = "![x](https://evil.org/p.png) [y](javascript:alert(1)) [z](https://a.org)"
    (answer,) = show_all(events(("text", {"text": said})))
    assert "<img" not in answer.html
    assert "javascript:" not in answer.html.split("href")[-1]
    assert 'href="https://a.org"' in answer.html


def test_who_watches_gets_each_piece_and_the_whole_when_it_has_ended():
    shower = Shower()
    names = [[name for name, _ in shower.live(event)] for event in WORK]
    assert names == [
        ["_begun.html"],
        ["_speech.html", "_begun.html"],
        ["_piece.html"],
        ["_speech.html", "_line.html"],
        ["_line.html"],
        [],
        [],
        ["_line.html"],
        ["_begun.html"],
        ["_speech.html", "_line.html"],
    ]


def test_who_comes_in_the_middle_of_a_speech_gets_all_of_it_at_its_end():
    shower = Shower(WORK[:2])
    assert [name for name, _ in shower.live(WORK[2])] == ["_piece.html"]
    (_, speech), _ = shower.live(WORK[3])
    assert speech.html.startswith("<p>I <strong>look</strong>")
    assert (speech.first, speech.number) == (2, 3)
