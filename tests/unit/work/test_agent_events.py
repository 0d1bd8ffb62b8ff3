"""What an agent says becomes an event that PostgreSQL takes."""

from adapters.agent.port import Plan, ToolCall
from bot.work.agent_events import as_event


def test_no_text_within_lists_breaks_the_event():
    plan = Plan(entries=[{"content": "a\x00b", "status": "pending\ud800"}])
    assert as_event(plan).body == {"entries": [{"content": "a\ufffdb", "status": "pending?"}]}
    tool = ToolCall(id="1", title="t", status="completed", files=("/w/\x00",))
    assert as_event(tool).body["files"] == ["/w/\ufffd"]


def test_of_tests_alone_it_is_kept_what_they_wrote():
    tests = ToolCall(id="1", title="Run", status="failed", command="pytest -q", output="E  x")
    assert as_event(tests).body["output"] == "E  x"
    other = ToolCall(id="1", title="Run", status="failed", command="cat pytest.ini", output="x")
    assert "output" not in as_event(other).body
